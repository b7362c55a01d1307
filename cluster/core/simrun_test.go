package core

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/noriahq/noria/ring"
)

var (
	seeds = flag.Uint64("seeds", seedsMost, "how many seeds TestSim tries")
	from  = flag.Uint64("from", 1, "the first seed that TestSim tries")
	seed  = flag.Uint64("seed", 0, "the only seed that TestSim tries, with its story told")
)

// newSim returns the cluster of a seed, with a planted bug or none.
func newSim(seed uint64, bug plant, tables *simTables) *sim {
	s := &sim{
		rng: rand.New(rand.NewPCG(seed, 7)), kind: scenario(seed % uint64(scenarios)), plant: bug, tables: tables,
		nodes: map[ring.Member]*simNode{}, cuts: map[[2]ring.Member]bool{}, charged: map[string]int64{},
	}
	s.book.rng = rand.New(rand.NewPCG(seed, 8))
	s.gifts.rng, s.gifts.given = rand.New(rand.NewPCG(seed, 9)), map[string]bool{}
	s.fair.rng = rand.New(rand.NewPCG(seed, 10))
	s.pace = []int{0, 32 << 10, 128 << 10}[seed/uint64(scenarios)%3] // a partition has some 100 bytes
	s.mixed = seed/uint64(scenarios)%6 == 1
	s.net.delay = time.Duration(100+s.rng.IntN(2000)) * time.Microsecond
	if s.kind != moves && s.rng.IntN(4) > 0 {
		s.net.twice = 0.05 * s.rng.Float64()
		s.net.loss = 0.05 * s.rng.Float64()
		s.net.spike = 0.02 * s.rng.Float64()
	}
	for range hotKeys {
		s.addKey()
	}
	return s
}

// story runs the cluster through its faults, and returns what went wrong.
func (s *sim) story() error {
	const faultsFrom, faultsTo, end = 3 * time.Second, 14 * time.Second, 60 * time.Second
	for i := range 1 + s.rng.IntN(5) {
		s.after(time.Duration(i)*s.upTo(200*time.Millisecond), func() { s.start(s.spare()) })
	}
	if s.mixed {
		for range 1 + s.rng.IntN(3) {
			s.after(s.upTo(time.Second)+time.Millisecond, s.joinGate)
		}
	}
	s.after(2*time.Second, func() {
		s.load()
		s.hammer()
		s.newKeys()
		s.borrowers()
		s.books()
		s.give()
		s.sales()
	})
	s.after(faultsFrom, func() { s.fault(faultsTo) })
	s.after(0, s.check)
	s.run(end)
	switch {
	case s.failure != nil:
	case !s.calm():
		s.fail("all views are the same: %v, since %v; %d faults go on", s.agree, s.agreed, s.busy)
	case s.asked < 100:
		s.fail("only %d requests", s.asked)
	default:
		s.allSettled()
	}
	return s.failure
}

// In every cluster that a seed makes all promises are kept: nothing is admitted beyond what the faults allow and nothing
// denied that was there, each partition has at most one holder, and one soon after all see each other again, and every
// request is answered.
func TestSim(t *testing.T) {
	tables := newTables()
	if *seed != 0 {
		s := newSim(*seed, noPlant, tables)
		s.tell = true
		err := s.story()
		t.Logf("%v: %d asked, %d allowed, %d degraded\n%s", s.kind, s.asked, s.allowed, s.degraded, strings.Join(s.notes, "\n"))
		if err != nil {
			t.Errorf("seed %d: %v", *seed, err)
		}
		return
	}
	var failed atomic.Int64
	var all, spent, made, settled, renewed, crashed, unknown atomic.Int64
	each(*from, *seeds, func(i uint64) bool {
		s := newSim(i, noPlant, tables)
		if err := s.story(); err != nil {
			t.Errorf("seed %d (%v): %v", i, s.kind, err)
			failed.Add(1)
		}
		all.Add(int64(s.asked))
		spent.Add(int64(s.spent))
		made.Add(int64(s.book.made))
		settled.Add(int64(s.book.settled))
		renewed.Add(int64(s.book.renewed))
		crashed.Add(int64(s.book.crashed))
		unknown.Add(int64(s.book.unknown))
		return failed.Load() < 5
	})
	t.Logf("%d seeds, %d requests, %d of them answered from leases", *seeds, all.Load(), spent.Load())
	t.Logf("%d reservations: %d were settled, %d times renewed, %d of clients that crashed, %d settlements unknown", made.Load(), settled.Load(),
		renewed.Load(), crashed.Load(), unknown.Load())
}

// each calls do for so many seeds, on all processors, until one says that it is enough.
func each(from, count uint64, do func(seed uint64) (more bool)) {
	var g errgroup.Group
	next, enough := atomic.Uint64{}, atomic.Bool{}
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			for !enough.Load() {
				i := next.Add(1) - 1
				if i >= count {
					break
				}
				if !do(from + i) {
					enough.Store(true)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		panic(err)
	}
}

// The same seed makes the same story, so that a failure can be looked at again.
func TestSameStory(t *testing.T) {
	for i := range uint64(scenarios) {
		var hashes [2]string
		for j := range hashes {
			s := newSim(i+1, noPlant, newTables())
			err := s.story()
			hashes[j] = fmt.Sprint(s.hash, s.order, s.asked, s.allowed, err)
		}
		if hashes[0] != hashes[1] {
			t.Errorf("seed %d tells two stories: %v and %v", i+1, hashes[0], hashes[1])
		}
	}
}
