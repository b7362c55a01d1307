package bucket

import "sync/atomic"

// news are the request ids that came to be remembered, or ceased to be, and that replicas were not told of, by the
// keys whose Changes are to tell them: what a bucket owes and the id it owes that for are told together, so that a replica never
// knows one without the other. There are only those of keys that have a bucket.
type news struct {
	of   map[int]map[string][]string // of each partition and key, in the order in which they came
	some atomic.Int64                // how many keys have any; read without the lock
}

// newsMost is how many ids a Change has at most: the last ones.
const newsMost = 64

func (w *news) init() { w.of = make(map[int]map[string][]string) }

// tell notes that what is known of id has changed.
func (m *memory) tell(part int, key, id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	keys := m.news.of[part]
	if keys == nil {
		keys = make(map[string][]string)
		m.news.of[part] = keys
	}
	ids, known := keys[key]
	if !known {
		m.news.some.Add(1)
		key = cloned(key)
	}
	if len(ids) == newsMost {
		ids = append(ids[:0], ids[1:]...)
	}
	keys[key] = append(ids, cloned(id))
}

// untell forgets what is to be told of key.
func (m *memory) untell(part int, key string) {
	if m.news.some.Load() == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.taken(part, key)
}

// untellPart forgets what is to be told of a partition.
func (m *memory) untellPart(part int) {
	if m.news.some.Load() == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.takenAll(part)
}

// untellAll forgets what is to be told.
func (m *memory) untellAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for part := range m.news.of {
		m.takenAll(part)
	}
}

// takenAll is untellPart with m locked.
func (m *memory) takenAll(part int) {
	m.news.some.Add(-int64(len(m.news.of[part])))
	delete(m.news.of, part)
}

// taken returns the ids that are to be told of key, and forgets that. The caller has locked m.
func (m *memory) taken(part int, key string) []string {
	keys := m.news.of[part]
	ids, known := keys[key]
	if !known {
		return nil
	}
	m.news.some.Add(-1)
	if delete(keys, key); len(keys) == 0 {
		delete(m.news.of, part)
	}
	return ids
}

// told returns what is to be told of key's request ids, as it is now, with that of also if that is not "", and forgets that it is
// to be.
func (m *memory) told(now Instant, part int, key, also string) (all []Remembered) {
	if also == "" && m.news.some.Load() == 0 {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range m.taken(part, key) {
		if id != also {
			all = append(all, m.remembered(now, part, key, id))
		}
	}
	if also != "" {
		if r := m.remembered(now, part, key, also); !r.Gone {
			all = append(all, r)
		}
	}
	return all
}

// remembered returns what is known of id, for others. The caller has locked m.
func (m *memory) remembered(now Instant, part int, key, id string) Remembered {
	r := Remembered{Key: cloned(key), ID: cloned(id), Gone: true}
	if turn, ok := m.of[memoKey{part, id, key}]; ok {
		c := m.memo(turn)
		if age := now.Sub(c.at); age <= m.age {
			r.Gone, r.Decision, r.Age = false, c.decision, max(0, age)
		}
	}
	return r
}

// tellID notes that what is known of the id of r, for key in partition part, has changed. The caller has locked the shard of r, as
// for all that follows.
func (s *Store) tellID(part int, r *record, id string) {
	if s.tracks.Load() && !s.shard(part).isFrozen(s.number(part)) {
		s.ids.tell(part, r.key(), id)
	}
}
