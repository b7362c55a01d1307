package cluster

import (
	"sync/atomic"
	"time"

	"github.com/noriahq/noria/bucket"
)

// heat counts how often keys are asked for in a while. It is of fixed size, and may count too little: of two keys that share a
// place the one that is asked for more often has it in the end (Misra and Gries, Finding repeated elements, 1982).
type heat [1 << 12]atomic.Uint64 // 32 bits of the hash, 20 of the while, 12 of the count

const (
	// leaseAfter is how many checks of a key in a heatWhile make it hot: 80 a second.
	leaseAfter = 8
	heatWhile  = 100 * time.Millisecond

	heatMost = 1<<12 - 1
)

// add counts a check at now of the key with the hash h, and returns how many there were in this while, at least.
func (t *heat) add(now bucket.Instant, h uint64) int64 {
	at := &t[h>>20%uint64(len(t))]
	key, while := h&^(1<<32-1), uint64(now)/uint64(heatWhile)&(1<<20-1)<<12
	for {
		was := at.Load()
		count := was & heatMost
		next := key | while | 1
		mine := was&^(1<<32-1) == key
		switch {
		case was&(1<<32-1)&^heatMost != while: // all of an earlier one
		case mine:
			count = min(count+1, heatMost)
			next = key | while | count
		case count > 1:
			next = was - 1
		}
		if !at.CompareAndSwap(was, next) {
			continue
		}
		if next&^(1<<32-1) != key {
			return 0
		}
		return int64(next & heatMost)
	}
}
