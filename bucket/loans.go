package bucket

// Loans are what a Store has lent and not had back, see Store.Lend.
type Loans struct {
	Keys   int   // of which something is lent
	Nodes  int   // leases: one for each node and key
	Tokens int64 // lent or set aside, which the buckets do not have meanwhile
}

// Loans returns what s has lent at now. It looks at each shard with a lease, a few microseconds each: it is for who asks now and
// then, not for the path of a check.
func (s *Store) Loans(now Instant) (all Loans) {
	if s.lentKeys.Load() == 0 {
		return all
	}
	for i := range s.shards {
		one := s.loans(now, i)
		all.Keys += one.Keys
		all.Nodes += one.Nodes
		all.Tokens += one.Tokens
	}
	return all
}

// loans is Loans of shard i.
func (s *Store) loans(now Instant, i int) (all Loans) {
	sh := &s.shards[i]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for _, ls := range s.leases[i] {
		nodes := 0
		for k := range ls.of {
			if l := &ls.of[k]; l.until > now && l.all() > 0 {
				nodes++
				all.Tokens += l.all()
			}
		}
		if nodes > 0 {
			all.Keys++
			all.Nodes += nodes
		}
	}
	return all
}

// Most returns the most buckets and the most living reservations that s keeps.
func (s *Store) Most() (keys, reservations int) { return int(s.maxKeys), int(s.counts.most) }
