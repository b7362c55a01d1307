package bucket

import (
	"strings"
	"sync"
	"time"
)

// A memory remembers the decisions on requests with an id, so that one that is sent again is charged once. Only what was
// charged is remembered: a denied request may be sent again under its id and be allowed then. It is bounded in number and
// age; what came first goes first.
type memory struct {
	mu   sync.Mutex
	most int
	age  time.Duration
	of   map[memoKey]uint64 // the turn of each; guarded by mu, like what follows
	last map[int]uint64     // the last turn of each partition that has one
	ring []memo             // of those of the turns from head to tail, each at its turn modulo the length
	head uint64
	tail uint64
	news news // guarded by mu
}

type memoKey struct {
	part    int
	id, key string
}

// A memo that was forgotten keeps its place, and the thread of its partition.
type memo struct {
	k        memoKey
	decision Decision
	at       Instant
	before   uint64 // the partition's turn before this one; if that is not before it, or before head, there is none
	gone     bool
}

func (m *memory) init(most int, age time.Duration) {
	m.most, m.age = most, age
	m.of, m.last = make(map[memoKey]uint64), make(map[int]uint64)
	m.news.init()
}

// memo returns what came at a turn from head to tail.
func (m *memory) memo(turn uint64) *memo { return &m.ring[turn%uint64(len(m.ring))] }

// recall returns the decision that r was charged under, if it is remembered.
func (m *memory) recall(now Instant, part int, r *Request) (Decision, bool) {
	if r.ID == "" {
		return Decision{}, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	turn, ok := m.of[memoKey{part, r.ID, r.Key}]
	if !ok || now.Sub(m.memo(turn).at) > m.age {
		return Decision{}, false
	}
	return m.memo(turn).decision, true
}

// remember notes that r was charged, if it asked for tokens, and answered by d.
func (m *memory) remember(now Instant, part int, r *Request, d *Decision) {
	if r.ID == "" || r.Cost == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(now, now, memoKey{part, r.ID, r.Key}, d)
}

// put remembers d, which was made at, unless k is remembered already. The caller has locked m, as for all that follows.
func (m *memory) put(now, at Instant, k memoKey, d *Decision) {
	if turn, ok := m.of[k]; ok && now.Sub(m.memo(turn).at) <= m.age {
		return
	}
	m.strike(k)
	m.expire(now)
	k.id, k.key = cloned(k.id), cloned(k.key)
	m.push(memo{k: k, decision: *d, at: at})
}

// expire drops what is too old, and the first if there is no room for one more.
func (m *memory) expire(now Instant) {
	for m.head < m.tail {
		first := m.memo(m.head)
		if !first.gone && int(m.tail-m.head) < m.most && now.Sub(first.at) <= m.age {
			return
		}
		if !first.gone {
			delete(m.of, first.k)
		}
		if m.last[first.k.part] == m.head {
			delete(m.last, first.k.part)
		}
		*first = memo{}
		m.head++
	}
}

// push appends c to the ring, which grows up to most.
func (m *memory) push(c memo) {
	if int(m.tail-m.head) == len(m.ring) {
		grown := make([]memo, min(m.most, max(64, 2*len(m.ring))))
		for turn := m.head; turn < m.tail; turn++ {
			grown[turn%uint64(len(grown))] = *m.memo(turn)
		}
		m.ring = grown
	}
	before, ok := m.last[c.k.part]
	if !ok {
		before = m.tail
	}
	c.before = before
	m.last[c.k.part], m.of[c.k] = m.tail, m.tail
	*m.memo(m.tail) = c
	m.tail++
}

// forget makes the id usable again for key.
func (m *memory) forget(part int, id, key string) {
	if id == "" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.strike(memoKey{part, id, key})
}

// strike forgets k.
func (m *memory) strike(k memoKey) {
	turn, ok := m.of[k]
	if !ok {
		return
	}
	delete(m.of, k)
	c := m.memo(turn)
	*c = memo{k: memoKey{part: k.part}, before: c.before, gone: true}
}

// each calls do with what is remembered of a partition, the last first.
func (m *memory) each(part int, do func(c *memo)) {
	turn, ok := m.last[part]
	for ok && turn >= m.head {
		c := m.memo(turn)
		if turn, ok = c.before, c.before < turn; !c.gone {
			do(c)
		}
	}
}

// cloned returns a copy of s, which may be a view into a buffer that is used again.
func cloned(s string) string { return strings.Clone(s) }
