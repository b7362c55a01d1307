package main

import (
	"time"

	"github.com/noriahq/noria/bucket"
)

// A limit is what every candidate enforces: burst tokens at once and one more every so often. Those that know fixed
// windows alone allow burst in an hour.
type limit struct {
	name  string
	every time.Duration
	burst int
}

// plenty is far above any demand. A token takes so long to come back that no bucket is full again, and dropped as good
// as new, while it is measured.
func plenty() limit { return limit{name: "plenty", every: 20 * time.Second, burst: 100_000_000} }

// spent denies everything but the first request.
func spent() limit { return limit{name: "spent", every: time.Hour, burst: 1} }

// bucket returns l as Noria has it.
func (l limit) bucket() bucket.Limit {
	return bucket.Limit{Tokens: 1, Per: l.every, Burst: int64(l.burst)}
}

// perSecond returns the rate of l.
func (l limit) perSecond() float64 { return 1 / l.every.Seconds() }

// allows says whether a request after the first one is allowed.
func (l limit) allows() bool { return l.burst > 1 }
