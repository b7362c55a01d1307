package core

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

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
	m.Missed, m.Gone = r.runs(), r.runs()
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
	m.Missed, m.Gone = r.runs(), r.runs()
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
	b = binary.AppendUvarint(b, uint64(len(p.IDs)))
	for i := range p.IDs {
		b = appendRemembered(b, &p.IDs[i])
	}
	return b
}

// limitsOut are the limits that a message has named already: each is written once, and by its number after that.
type limitsOut struct{ of map[bucket.Limit]int }

func (l *limitsOut) appendState(b []byte, s *bucket.State) []byte {
	b = appendText(b, s.Key)
	b = binary.AppendVarint(b, s.Debt)
	b = binary.AppendVarint(b, int64(s.Left))
	if i, ok := l.of[s.Limit]; ok {
		return binary.AppendUvarint(b, uint64(i))
	}
	if l.of == nil {
		l.of = map[bucket.Limit]int{}
	}
	b = binary.AppendUvarint(b, uint64(len(l.of)))
	l.of[s.Limit] = len(l.of)
	b = binary.AppendVarint(b, s.Limit.Tokens)
	b = binary.AppendVarint(b, int64(s.Limit.Per))
	b = binary.AppendVarint(b, s.Limit.Burst)
	b = binary.AppendVarint(b, s.Limit.Queue)
	b = append(b, byte(s.Limit.Window))
	return appendText(b, s.Limit.Zone)
}

func appendRemembered(b []byte, r *bucket.Remembered) []byte {
	b = appendText(b, r.Key)
	b = appendText(b, r.ID)
	b = binary.AppendVarint(b, int64(r.Age))
	d := &r.Decision
	b = appendBool(b, d.Allowed)
	b = appendBool(b, d.Degraded)
	b = append(b, byte(d.Source))
	b = binary.AppendVarint(b, d.Remaining)
	b = binary.AppendVarint(b, int64(d.RetryAfter))
	b = binary.AppendVarint(b, int64(d.ResetAfter))
	b = binary.AppendVarint(b, int64(d.Delay))
	return appendText(b, d.Node)
}

// A reader reads a message. After the first error it reads zeros.
type reader struct {
	b      []byte // what is left
	all    string // the message: its texts are parts of one copy, which saves an allocation for each
	err    error
	limits []bucket.Limit
}

func (r *reader) bad(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrMessage, fmt.Sprintf(format, args...))
	}
	r.b = nil
}

func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.bad("%d bytes too many", len(r.b))
	}
	return r.err
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.bad("it ends early")
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) bool() bool { return r.byte() == 1 }

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad("it ends early")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad("it ends early")
		return 0
	}
	r.b = r.b[n:]
	return v
}

// small reads a number of at most most.
func (r *reader) small(most uint64) int {
	v := r.uint()
	if v > most {
		r.bad("%d is more than %d", v, most)
		return 0
	}
	return int(v)
}

func (r *reader) text(most int) string {
	n := r.small(uint64(most))
	if n > len(r.b) {
		r.bad("it ends early")
		return ""
	}
	at := len(r.all) - len(r.b)
	r.b = r.b[n:]
	return r.all[at : at+n]
}

func (r *reader) term() Term {
	v := r.uint()
	if v > maxTerm {
		r.bad("term %d is more than %d", v, uint64(maxTerm))
		return 0
	}
	return Term(v)
}

// maxTerm is more than the holders that a partition has in a century, and leaves room for a route.
const maxTerm = 1 << 47

// next returns the term after t.
func (t Term) next() Term { return min(t+1, maxTerm) }

// list reads a list whose entries have at least least bytes each, so that no number makes it larger than the message.
func list[T any](r *reader, least int, read func(*T)) []T {
	n := r.uint()
	if n > uint64(len(r.b)/least) {
		r.bad("a list of %d in %d bytes", n, len(r.b))
		return nil
	}
	if n == 0 {
		return nil
	}
	of := make([]T, n)
	for i := range of {
		read(&of[i])
	}
	return of
}

func (r *reader) partition(last ring.Partition) ring.Partition {
	p := int64(last) + r.int()
	if p < 0 || p > math.MaxUint16 {
		r.bad("partition %d", p)
		return 0
	}
	return ring.Partition(p)
}

func (r *reader) partitions() []ring.Partition {
	last := ring.Partition(0)
	return list(r, 1, func(p *ring.Partition) {
		*p = r.partition(last)
		last = *p
	})
}

func (r *reader) runs() []Run {
	return list(r, 2, func(run *Run) { run.ID, run.Boot = ring.Member(r.text(ring.MaxMember)), r.uint() })
}

func (r *reader) places() []Place {
	last := ring.Partition(0)
	var names []ring.Member
	return list(r, 5, func(p *Place) {
		p.Partition = r.partition(last)
		last = p.Partition
		p.Status = Status(r.byte())
		p.Term, p.Copy = r.term(), r.term()
		number := r.small(uint64(len(names)))
		if number == len(names) {
			names = append(names, ring.Member(r.text(ring.MaxMember)))
		}
		p.Holder = names[number]
		if p.Status >= statuses {
			r.bad("status %d is unknown", p.Status)
		}
	})
}

func (r *reader) parcel(p *Parcel) {
	p.Partition = ring.Partition(r.small(math.MaxUint16))
	p.Term, p.Round = r.term(), r.uint()
	p.Chunk, p.Chunks = r.small(math.MaxInt32), r.small(maxChunks)
	p.Cold, p.ColdFor, p.Stale = r.bool(), time.Duration(r.int()), r.bool()
	p.States = list(r, 4, r.state)
	p.Changes = list(r, 5, func(c *bucket.Change) {
		c.Partition, c.Replaces = int(p.Partition), r.bool()
		r.state(&c.State)
	})
	p.IDs = list(r, 11, r.remembered)
}

// maxChunks bounds how many parcels a partition is cut into.
const maxChunks = 1 << 16

func (r *reader) state(s *bucket.State) {
	s.Key, s.Debt, s.Left = r.text(bucket.MaxKey), r.int(), time.Duration(r.int())
	i := r.small(uint64(len(r.limits)))
	if i < len(r.limits) {
		s.Limit = r.limits[i]
		return
	}
	l := bucket.Limit{Tokens: r.int(), Per: time.Duration(r.int()), Burst: r.int(), Queue: r.int(), Window: bucket.Window(r.byte())}
	l.Zone = r.text(maxZone)
	s.Limit = l
	r.limits = append(r.limits, l)
}

// maxZone is more than the name of any time zone has.
const maxZone = 255

func (r *reader) remembered(m *bucket.Remembered) {
	m.Key, m.ID, m.Age = strings.Clone(r.text(bucket.MaxKey)), strings.Clone(r.text(bucket.MaxID)), time.Duration(r.int())
	d := &m.Decision
	d.Allowed, d.Degraded, d.Source = r.bool(), r.bool(), bucket.Source(r.byte())
	d.Remaining, d.RetryAfter = r.int(), time.Duration(r.int())
	d.ResetAfter, d.Delay, d.Node = time.Duration(r.int()), time.Duration(r.int()), r.text(ring.MaxMember)
}
