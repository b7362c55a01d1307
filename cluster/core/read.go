package core

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

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

func (r *reader) uint() uint64 { return number(r, binary.Uvarint) }

func (r *reader) int() int64 { return number(r, binary.Varint) }

// number reads what read does, a varint.
func number[T uint64 | int64](r *reader, read func([]byte) (T, int)) T {
	v, n := read(r.b)
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

// absentMost is the longest that a Run is missed for, in milliseconds: a year.
const absentMost = 366 * 24 * 3600 * 1000

func (r *reader) runs() []Run {
	return list(r, 3, func(run *Run) {
		run.ID, run.Boot = ring.Member(r.text(ring.MaxMember)), r.uint()
		run.For = time.Duration(min(r.uint(), absentMost)) * time.Millisecond
	})
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
	p.Reserved = list(r, 10, r.reserved)
}

// maxChunks bounds how many parcels a partition is cut into.
const maxChunks = 1 << 16

func (r *reader) state(s *bucket.State) {
	s.Key, s.Debt, s.Left = r.text(bucket.MaxKey), r.int(), time.Duration(r.int())
	s.Lent, s.LentFor = r.int(), time.Duration(r.int())
	s.Limit = r.limit()
}

func (r *reader) limit() bucket.Limit {
	i := r.small(uint64(len(r.limits)))
	if i < len(r.limits) {
		return r.limits[i]
	}
	l := bucket.Limit{Tokens: r.int(), Per: time.Duration(r.int()), Burst: r.int(), Queue: r.int(), Window: bucket.Window(r.byte())}
	l.Zone = r.text(maxZone)
	r.limits = append(r.limits, l)
	return l
}

// reserved reads a reservation, whose texts have memory of their own: a store keeps them for long.
func (r *reader) reserved(b *bucket.Reserved) {
	b.Key, b.ID = strings.Clone(r.text(bucket.MaxKey)), strings.Clone(r.text(bucket.MaxID))
	b.Limit = r.limit()
	b.Cost, b.Round, b.Left = r.int(), r.uint(), time.Duration(r.int())
	b.Least, b.Debt, b.Charged = r.int(), r.int(), r.int()
	ended := r.byte()
	if ended > isSettled|isUndone {
		r.bad("a reservation ended as %d", ended)
	}
	b.Settled, b.Undone = ended&isSettled != 0, ended&isUndone != 0
}

// maxZone is more than the name of any time zone has.
const maxZone = 255

func (r *reader) remembered(m *bucket.Remembered) {
	m.Key, m.ID, m.Age = strings.Clone(r.text(bucket.MaxKey)), strings.Clone(r.text(bucket.MaxID)), time.Duration(r.int())
	d := &m.Decision
	d.Allowed, d.Degraded, d.Source = r.bool(), r.bool(), bucket.Source(r.byte())
	d.Remaining, d.RetryAfter = r.int(), time.Duration(r.int())
	m.Gone = !d.Allowed
	d.ResetAfter, d.Delay, d.Node = time.Duration(r.int()), time.Duration(r.int()), r.text(ring.MaxMember)
}
