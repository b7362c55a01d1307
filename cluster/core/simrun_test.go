package core

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

var (
	seeds = flag.Int("seeds", 2000, "how many seeds TestSim tries")
	seed  = flag.Uint64("seed", 0, "the only seed that TestSim tries, with its story told")
)

// newSim returns the cluster of a seed, with a planted bug or none.
func newSim(seed uint64, bug plant) *sim {
	s := &sim{
		rng: rand.New(rand.NewPCG(seed, 7)), kind: scenario(seed % uint64(scenarios)), plant: bug,
		tables: map[string]*ring.Table{}, nodes: map[ring.Member]*simNode{}, cuts: map[[2]ring.Member]bool{},
	}
	var err error
	if s.build, err = ring.NewBuilder(ring.Params{Partitions: simPartitions, VirtualNodes: 16, Load: 1.5}); err != nil {
		panic(err)
	}
	s.net.delay = time.Duration(100+s.rng.IntN(2000)) * time.Microsecond
	if s.kind != moves {
		s.net.twice = 0.05 * s.rng.Float64()
		s.net.loss = 0.05 * s.rng.Float64()
		s.net.spike = 0.02 * s.rng.Float64()
	}
	for i := range 12 {
		s.keys = append(s.keys, s.newKey(i))
	}
	return s
}

func (s *sim) newKey(i int) *simKey {
	limits := []bucket.Limit{
		{Tokens: 1, Per: time.Hour, Burst: 40},
		{Tokens: 10, Per: time.Second, Burst: 20},
		{Tokens: 3, Per: 7 * time.Second, Burst: 30},
		{Burst: 60},
	}
	l := limits[i%len(limits)]
	k := &simKey{name: fmt.Sprintf("key %d of %d", i, s.rng.IntN(1000)), limit: l}
	k.part = ring.Partition(ring.Hash(k.name) % simPartitions)
	rate := 0.0
	if l.Tokens > 0 {
		rate = float64(l.Tokens) / l.Per.Seconds() * (1 + 3*driftMost)
	}
	k.judge = judge{burst: float64(l.Burst), rate: rate, level: float64(l.Burst)}
	return k
}

// story runs the cluster through its faults, and returns what went wrong.
func (s *sim) story() error {
	const faultsFrom, faultsTo, end = 3 * time.Second, 18 * time.Second, 34 * time.Second
	for i := range 1 + s.rng.IntN(5) {
		s.after(time.Duration(i)*time.Duration(s.rng.Int64N(int64(200*time.Millisecond))), func() { s.start(s.spare()) })
	}
	s.after(2*time.Second, func() { s.load(end - 4*time.Second) })
	s.after(faultsFrom, func() { s.fault(faultsTo) })
	s.run(end)
	if s.failure == nil {
		s.failure = s.stuck()
	}
	if s.failure == nil && s.kind == moves && s.degraded > 0 {
		s.failure = fmt.Errorf("%d of %d requests degraded although nodes only joined and left", s.degraded, s.asked)
	}
	if s.failure == nil && s.asked < 100 {
		s.failure = fmt.Errorf("only %d requests", s.asked)
	}
	return s.failure
}

// In every cluster that a seed makes all promises are kept: nothing is admitted beyond what the faults allow, every request
// is answered, and at the end each partition has one holder.
func TestSim(t *testing.T) {
	if *seed != 0 {
		s := newSim(*seed, 0)
		err := s.story()
		t.Logf("%v: %d asked, %d allowed, %d degraded\n%s", s.kind, s.asked, s.allowed, s.degraded, strings.Join(s.faults, "\n"))
		if err != nil {
			t.Errorf("seed %d: %v", *seed, err)
		}
		return
	}
	failed := 0
	for i := range *seeds {
		s := newSim(uint64(i+1), 0)
		if err := s.story(); err != nil {
			t.Errorf("seed %d (%v): %v", i+1, s.kind, err)
			if failed++; failed == 5 {
				t.Fatal("and so on")
			}
		}
	}
}
