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

// LimitOf returns the name of the limit that key, one of Met.Keys, is of, "" if it is of none or of one whose name is so long that
// keys have its hash. It is a part of key.
func LimitOf(key string) string {
	digits := 0
	n := 0
	for ; digits < len(key) && digits < 4 && key[digits] >= '0' && key[digits] <= '9'; digits++ {
		n = 10*n + int(key[digits]-'0')
	}
	if digits == 0 || digits >= len(key) || key[digits] != plain || n > len(key)-digits-1 {
		return ""
	}
	return key[digits+1 : digits+1+n]
}
