package policy

import "github.com/noriahq/noria/bucket"

// Met are the limits that a request meets, with their buckets' keys. Its zero value is empty. It is to be reused: then it
// allocates nothing. It is not safe for concurrent use.
type Met struct {
	met  []met
	keys []byte // one after the other
}

// met is one limit that is met.
type met struct {
	limit  *Limit
	bucket bucket.Limit
	end    int // of its key in keys
}

// Reset empties m and keeps its memory.
func (m *Met) Reset() {
	clear(m.met)
	m.met, m.keys = m.met[:0], m.keys[:0]
}

// Len returns how many limits are met.
func (m *Met) Len() int { return len(m.met) }

// Limit returns the i-th limit.
func (m *Met) Limit(i int) *Limit { return m.met[i].limit }

// Bucket returns what the i-th limit gives to the caller's tier.
func (m *Met) Bucket(i int) bucket.Limit { return m.met[i].bucket }

// Keys appends the keys to dst, in order. They are valid for bucket.CheckKey, and remain so when m is reused: they share
// one string, which is the only allocation.
func (m *Met) Keys(dst []string) []string {
	all, begin := string(m.keys), 0
	for _, one := range m.met {
		dst = append(dst, all[begin:one.end])
		begin = one.end
	}
	return dst
}
