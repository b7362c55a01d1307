package core

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// How messages look on the wire: numbers are varints, texts and lists have their length before them, fields come in their
// order. Nodes of another format do not speak to each other: cluster.Protocol counts formats.

// ErrMessage says that bytes are not a message.
var ErrMessage = errors.New("core: not a message")

// Append appends msg to b.
func (m *Message) Append(b []byte) []byte {
	b = append(b, byte(m.Kind))
	b = binary.AppendUvarint(b, m.Boot)
	b = binary.AppendUvarint(b, m.Epoch)
	b = binary.AppendUvarint(b, m.Round)
	b = appendPartitions(b, m.Wanted)
	b = appendRuns(b, m.Missed)
	b = appendRuns(b, m.Gone)
	b = appendRuns(b, m.Gates)
	b = binary.AppendUvarint(b, uint64(len(m.Parts)))
	var limits limitsOut
	for i := range m.Parts {
		b = m.Parts[i].append(b, &limits)
	}
	return b
}

// ReadMessage reads what Append has written. The message has memory of its own. The error wraps ErrMessage.
func ReadMessage(b []byte) (*Message, error) {
	r := reader{b: b, all: string(b)}
	m := &Message{Kind: Kind(r.byte()), Boot: r.uint(), Epoch: r.uint(), Round: r.uint()}
	m.Wanted = r.partitions()
	m.Missed, m.Gone, m.Gates = r.runs(), r.runs(), r.runs()
	m.Parts = list(&r, 8, func(p *Parcel) { r.parcel(p) })
	if m.Kind >= kinds {
		r.bad("kind %d is unknown", m.Kind)
	}
	return m, r.end()
}

// Append appends r to b.
func (r *Reply) Append(b []byte) []byte {
	b = appendBool(b, r.Known)
	b = appendBool(b, r.Founded)
	b = binary.AppendUvarint(b, r.Boot)
	b = binary.AppendUvarint(b, r.Epoch)
	b = appendRuns(b, r.Missed)
	b = appendRuns(b, r.Gone)
	b = appendRuns(b, r.Gates)
	b = appendPlaces(b, r.Places)
	b = appendPlaces(b, r.Over)
	b = appendPartitions(b, r.Taken)
	b = appendPartitions(b, r.Partly)
	return appendPartitions(b, r.Never)
}

// ReadReply reads what Append has written. The error wraps ErrMessage.
func ReadReply(b []byte) (*Reply, error) {
	r := reader{b: b, all: string(b)}
	m := &Reply{Known: r.bool(), Founded: r.bool(), Boot: r.uint(), Epoch: r.uint()}
	m.Missed, m.Gone, m.Gates = r.runs(), r.runs(), r.runs()
	m.Places, m.Over = r.places(), r.places()
	m.Taken, m.Partly, m.Never = r.partitions(), r.partitions(), r.partitions()
	return m, r.end()
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// appendPartitions writes each as the distance from the one before, which is short where they ascend.
func appendPartitions(b []byte, ps []ring.Partition) []byte {
	b = binary.AppendUvarint(b, uint64(len(ps)))
	last := ring.Partition(0)
	for _, p := range ps {
		b = binary.AppendVarint(b, int64(p)-int64(last))
		last = p
	}
	return b
}

func appendRuns(b []byte, runs []Run) []byte {
	b = binary.AppendUvarint(b, uint64(len(runs)))
	for _, r := range runs {
		b = appendText(b, string(r.ID))
		b = binary.AppendUvarint(b, r.Boot)
		b = binary.AppendUvarint(b, uint64(max(0, r.For.Milliseconds())))
	}
	return b
}

// appendPlaces names each holder once, and by its number after that.
func appendPlaces(b []byte, places []Place) []byte {
	b = binary.AppendUvarint(b, uint64(len(places)))
	names := map[ring.Member]int{}
	last := ring.Partition(0)
	for i := range places {
		p := &places[i]
		b = binary.AppendVarint(b, int64(p.Partition)-int64(last))
		last = p.Partition
		b = append(b, byte(p.Status))
		b = binary.AppendUvarint(b, uint64(p.Term))
		b = binary.AppendUvarint(b, uint64(p.Copy))
		number, named := names[p.Holder]
		if named {
			b = binary.AppendUvarint(b, uint64(number))
			continue
		}
		b = binary.AppendUvarint(b, uint64(len(names)))
		names[p.Holder] = len(names)
		b = appendText(b, string(p.Holder))
	}
	return b
}

func (p *Parcel) append(b []byte, limits *limitsOut) []byte {
	b = binary.AppendUvarint(b, uint64(p.Partition))
	b = binary.AppendUvarint(b, uint64(p.Term))
	b = binary.AppendUvarint(b, p.Round)
	b = binary.AppendUvarint(b, uint64(p.Chunk))
	b = binary.AppendUvarint(b, uint64(p.Chunks))
	b = appendBool(b, p.Cold)
	b = binary.AppendVarint(b, int64(p.ColdFor))
	b = appendBool(b, p.Stale)
	b = binary.AppendUvarint(b, uint64(len(p.States)))
	for i := range p.States {
		b = limits.appendState(b, &p.States[i])
	}
	b = binary.AppendUvarint(b, uint64(len(p.Changes)))
	for i := range p.Changes {
		b = appendBool(b, p.Changes[i].Replaces)
		b = limits.appendState(b, &p.Changes[i].State)
	}
	return limits.appendReserved(appendIDs(b, p), p)
}

// appendIDs writes the request ids of p, and of its changes. Nodes that do not know that changes have any take them in all the same,
// but for those that are gone.
func appendIDs(b []byte, p *Parcel) []byte {
	count := len(p.IDs)
	for i := range p.Changes {
		count += len(p.Changes[i].IDs)
	}
	b = binary.AppendUvarint(b, uint64(count))
	for i := range p.IDs {
		b = appendRemembered(b, &p.IDs[i])
	}
	for i := range p.Changes {
		for k := range p.Changes[i].IDs {
			b = appendRemembered(b, &p.Changes[i].IDs[k])
		}
	}
	return b
}

// limitsOut are the limits that a message has named already: each is written once, and by its number after that.
type limitsOut struct {
	few   [4]bucket.Limit // the first, most often all: to compare them is quicker than to hash one
	count int
	more  map[bucket.Limit]int
}

// number returns the number of limit, and whether it had one before.
func (l *limitsOut) number(limit bucket.Limit) (int, bool) {
	if i := slices.Index(l.few[:min(l.count, len(l.few))], limit); i >= 0 {
		return i, true
	}
	i, ok := l.more[limit]
	if ok {
		return i, true
	}
	i = l.count
	if l.count++; i < len(l.few) {
		l.few[i] = limit
		return i, false
	}
	if l.more == nil {
		l.more = map[bucket.Limit]int{}
	}
	l.more[limit] = i
	return i, false
}

func (l *limitsOut) appendState(b []byte, s *bucket.State) []byte {
	b = appendText(b, s.Key)
	b = binary.AppendVarint(b, s.Debt)
	b = binary.AppendVarint(b, int64(s.Left))
	b = binary.AppendVarint(b, s.Lent)
	b = binary.AppendVarint(b, int64(s.LentFor))
	return l.append(b, s.Limit)
}

func (l *limitsOut) append(b []byte, limit bucket.Limit) []byte {
	i, named := l.number(limit)
	if b = binary.AppendUvarint(b, uint64(i)); named {
		return b
	}
	b = binary.AppendVarint(b, limit.Tokens)
	b = binary.AppendVarint(b, int64(limit.Per))
	b = binary.AppendVarint(b, limit.Burst)
	b = binary.AppendVarint(b, limit.Queue)
	b = append(b, byte(limit.Window))
	return appendText(b, limit.Zone)
}

// appendReserved writes the reservations of p, and of its changes.
func (l *limitsOut) appendReserved(b []byte, p *Parcel) []byte {
	count := len(p.Reserved)
	for i := range p.Changes {
		count += len(p.Changes[i].Reserved)
	}
	b = binary.AppendUvarint(b, uint64(count))
	for i := range p.Reserved {
		b = l.appendOne(b, &p.Reserved[i])
	}
	for i := range p.Changes {
		for k := range p.Changes[i].Reserved {
			b = l.appendOne(b, &p.Changes[i].Reserved[k])
		}
	}
	return b
}

// The bits that say how a reservation has ended.
const (
	isSettled = 1 << iota
	isUndone
)

func (l *limitsOut) appendOne(b []byte, r *bucket.Reserved) []byte {
	b = appendText(b, r.Key)
	b = appendText(b, r.ID)
	b = l.append(b, r.Limit)
	b = binary.AppendVarint(b, r.Cost)
	b = binary.AppendUvarint(b, r.Round)
	b = binary.AppendVarint(b, int64(r.Left))
	b = binary.AppendVarint(b, r.Least)
	b = binary.AppendVarint(b, r.Debt)
	b = binary.AppendVarint(b, r.Charged)
	ended := byte(0)
	if r.Settled {
		ended |= isSettled
	}
	if r.Undone {
		ended |= isUndone
	}
	return append(b, ended)
}

func appendRemembered(b []byte, r *bucket.Remembered) []byte {
	b = appendText(b, r.Key)
	b = appendText(b, r.ID)
	b = binary.AppendVarint(b, int64(r.Age))
	d := &r.Decision
	b = appendBool(b, d.Allowed && !r.Gone) // only what was allowed is remembered: this is how others see that it is not
	b = appendBool(b, d.Degraded)
	b = append(b, byte(d.Source))
	b = binary.AppendVarint(b, d.Remaining)
	b = binary.AppendVarint(b, int64(d.RetryAfter))
	b = binary.AppendVarint(b, int64(d.ResetAfter))
	b = binary.AppendVarint(b, int64(d.Delay))
	return appendText(b, d.Node)
}
