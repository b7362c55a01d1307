package main

import (
	"time"

	"github.com/noriahq/noria/bucket"
)

// A limit is what every candidate enforces: burst tokens at once and one more every so often. Those that know fixed
// windows alone allow burst in an hour, or in a second where that is what the rate comes to.
type limit struct {
	name  string
	every time.Duration
	burst int
	queue int // for Noria alone: tokens that may wait
}

// plenty is far above any demand. A token takes so long to come back that no bucket is full again, and dropped as good
// as new, while it is measured.
func plenty() limit { return limit{name: "plenty", every: 20 * time.Second, burst: 100_000_000} }

// unlent is plenty in a form that Noria does not lend: every check of it is decided by the holder.
func unlent() limit {
	l := plenty()
	l.name, l.queue = "unlent", 1
	return l
}

// spent denies everything but the first request.
func spent() limit { return limit{name: "spent", every: time.Hour, burst: 1} }

// scarce is 100 a second: whoever asks as fast as it can asks for some hundred times as much.
func scarce() limit { return limit{name: "scarce", every: 10 * time.Millisecond, burst: 100} }

// bucket returns l as Noria has it.
func (l limit) bucket() bucket.Limit {
	return bucket.Limit{Tokens: 1, Per: l.every, Burst: int64(l.burst), Queue: int64(l.queue)}
}

// perSecond returns the rate of l.
func (l limit) perSecond() float64 { return 1 / l.every.Seconds() }

// window returns the length of the fixed window that comes nearest to l, in which burst are allowed.
func (l limit) window() time.Duration {
	if l == scarce() {
		return time.Second
	}
	return time.Hour
}

// allows says whether a request after the first one is allowed.
func (l limit) allows() bool { return l.burst > 1 }

// permits returns how many requests l admits at most in the time d, whenever that begins.
func (l limit) permits(d time.Duration) float64 { return float64(l.burst) + d.Seconds()*l.perSecond() }
