package bucket

import (
	"strings"
	"sync"
	"time"
)

// A memory remembers the decisions on requests with an id, so that one that is sent again is charged once. Only what was
// charged is remembered: a denied request may be sent again under its id and be allowed then. It is bounded in number and
// age; the oldest goes first.
type memory struct {
	mu    sync.Mutex
	most  int
	age   time.Duration
	of    map[memoKey]memo // guarded by mu
	queue []memoKey        // a ring of the keys of of, oldest at head; guarded by mu
	head  int              // guarded by mu
	count int              // guarded by mu
}

type memoKey struct{ id, key string }

type memo struct {
	decision Decision
	at       Instant
	place    int // in queue
}

func (m *memory) init(most int, age time.Duration) {
	m.most, m.age, m.of = most, age, make(map[memoKey]memo)
}

// recall returns the decision that r was charged under, if it is remembered.
func (m *memory) recall(now Instant, r *Request) (Decision, bool) {
	if r.ID == "" {
		return Decision{}, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	found, ok := m.of[memoKey{r.ID, r.Key}]
	if !ok || now.Sub(found.at) > m.age {
		return Decision{}, false
	}
	return found.decision, true
}

// remember notes that r was charged, if it asked for tokens, and answered by d.
func (m *memory) remember(now Instant, r *Request, d *Decision) {
	if r.ID == "" || r.Cost == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	k := memoKey{r.ID, r.Key}
	if old, ok := m.of[k]; ok && now.Sub(old.at) <= m.age {
		return
	} else if ok {
		m.queue[old.place] = memoKey{}
		delete(m.of, k)
	}
	m.expire(now)
	k = memoKey{cloned(r.ID), cloned(r.Key)}
	m.of[k] = memo{decision: *d, at: now, place: m.push(k)}
}

// expire drops what is too old, and the oldest if there is no room for one more.
func (m *memory) expire(now Instant) {
	for m.count > 0 {
		k := m.queue[m.head]
		found, ok := m.of[k]
		if ok && m.count < m.most && now.Sub(found.at) <= m.age {
			return
		}
		if ok {
			delete(m.of, k)
		}
		m.queue[m.head] = memoKey{}
		m.head = (m.head + 1) % len(m.queue)
		m.count--
	}
}

// push appends k to the ring, which grows up to most, and returns its place.
func (m *memory) push(k memoKey) int {
	if m.count == len(m.queue) {
		grown := make([]memoKey, min(m.most, max(64, 2*len(m.queue))))
		for i := range m.count {
			grown[i] = m.queue[(m.head+i)%len(m.queue)]
			if found, ok := m.of[grown[i]]; ok {
				found.place = i
				m.of[grown[i]] = found
			}
		}
		m.queue, m.head = grown, 0
	}
	place := (m.head + m.count) % len(m.queue)
	m.queue[place] = k
	m.count++
	return place
}

// forget makes the id usable again for key.
func (m *memory) forget(id, key string) {
	if id == "" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	k := memoKey{id, key}
	if found, ok := m.of[k]; ok {
		m.queue[found.place] = memoKey{}
		delete(m.of, k)
	}
}

// cloned returns a copy of s, which may be a view into a buffer that is used again.
func cloned(s string) string { return strings.Clone(s) }
