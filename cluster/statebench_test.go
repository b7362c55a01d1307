package cluster

import (
	"context"
	"math/bits"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/snapshot"
)

// delays counts times by their size, with an error of 3 % at most.
type delays struct {
	counts [64 * 32]int
	all    int
	most   time.Duration
}

// add counts one.
func (d *delays) add(took time.Duration) {
	u := uint64(max(took, 32))
	shift := bits.Len64(u) - 6
	d.counts[shift*32+int(u>>shift)]++
	d.all++
	d.most = max(d.most, took)
}

// at returns the time that a part of all do not pass, in us.
func (d *delays) at(part float64) float64 {
	left := int(part * float64(d.all))
	for i, n := range d.counts {
		if left -= n; left < 0 {
			shift := (i - 32) / 32
			return float64(uint64(i-shift*32)<<shift) / 1e3
		}
	}
	return float64(d.most) / 1e3
}

// BenchmarkCheckBesideSave is a check of one of a million keys, all held here, while nothing else is done, while they are saved as a
// running node does, which takes its time, and while they are saved as fast as that goes, as when a node stops. What counts are the
// slowest: they are reported in us. One caller asks without a pause.
func BenchmarkCheckBesideSave(b *testing.B) {
	d, err := snapshot.Open(b.TempDir(), "a", "noria")
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	n, keys := benchNodeOf(b, Config{State: d}, 1_000_000, "a")
	ctx := context.Background()
	req := bucket.Request{Limit: bucket.Limit{Tokens: 1_000_000, Per: time.Hour, Burst: 1_000_000_000}, Cost: 1000}
	for _, req.Key = range keys {
		if _, err := n.Check(ctx, req); err != nil {
			b.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		saves  bool
		spread time.Duration
	}{{"Alone", false, 0}, {"Saving", true, n.config.StateEvery / 8}, {"SavingFast", true, 0}} {
		b.Run(c.name, func(b *testing.B) {
			ctx, stop := context.WithCancel(context.Background())
			done, saves := make(chan struct{}), 0
			go func() {
				defer close(done)
				for c.saves && ctx.Err() == nil {
					n.save(ctx, c.spread, false)
					saves++
				}
			}()
			var took delays
			r := rand.New(rand.NewPCG(1, 2))
			for b.Loop() {
				req.Key = keys[r.IntN(len(keys))]
				began := time.Now()
				d, err := n.Check(ctx, req)
				if took.add(time.Since(began)); err != nil || !d.Allowed {
					b.Fatal(d, err)
				}
			}
			stop()
			<-done
			b.ReportMetric(took.at(0.5), "p50-us")
			b.ReportMetric(took.at(0.99), "p99-us")
			b.ReportMetric(took.at(0.999), "p99.9-us")
			b.ReportMetric(took.at(0.9999), "p99.99-us")
			b.ReportMetric(float64(took.most)/1e3, "max-us")
			b.ReportMetric(float64(saves), "saves")
		})
	}
}
