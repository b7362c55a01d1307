package core

import (
	"flag"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// simSaves is what the nodes of a fleet save, and what a blackout may have cost.
type simSaves struct {
	gentle bool // every stop is one that lets nodes save, and no message is lost
	disks  map[ring.Member]map[ring.Partition]simSaved
	left   time.Duration                // when a node has last left for good
	stops  int                          // blackouts
	since  [simPartitions]time.Duration // from when on what was admitted may be lost by the last blackout
	until  time.Duration                // when that was
	late   [simPartitions]*simDelay
	begun  [simPartitions]bool // somebody has held it since
}

// simSaved is what is saved of a partition.
type simSaved struct {
	at   time.Duration // true time
	term Term
	msgs [][]byte
}

// simDelay is a node that has the last of a partition and may come back after it was started by others.
type simDelay struct {
	id   ring.Member
	boot uint64 // its run when it stopped
}

// saveEvery is how often a node saves what it has.
const saveEvery = time.Second

// room4saved returns what a core needs that loads what was saved.
func (s *sim) room4saved(n *simNode) (saved *bucket.Store, epoch time.Time) {
	if s.kind != blackouts {
		return nil, time.Time{}
	}
	return simStore(), time.Unix(eraZero+1000, 0).Add(n.born - time.Second)
}

// loadSaved gives n's core what its last run has saved, and makes it save.
func (s *sim) loadSaved(n *simNode) {
	if s.kind != blackouts || n.gateway {
		return
	}
	if s.saves.disks == nil {
		s.saves.disks = map[ring.Member]map[ring.Partition]simSaved{}
	}
	for _, p := range keysOf(s.saves.disks[n.id]) {
		rec := s.saves.disks[n.id][p]
		for _, b := range rec.msgs {
			msg, err := ReadMessage(b)
			if err == nil {
				err = n.core.Load(s.clock(n), s.clock(n)-bucket.Instant(s.now-rec.at), msg)
			}
			if err != nil {
				s.fail("%s loads what it has saved: %v", n.id, err)
			}
		}
	}
	if len(s.saves.disks[n.id]) > 0 {
		n.core.AwaitOthers()
	}
	for p := range n.lately {
		n.lately[p] = -time.Hour
	}
	s.after(s.upTo(saveEvery), func() { s.saveOften(n) })
}

func (s *sim) saveOften(n *simNode) {
	if n.alive {
		s.save(n, n.draining)
		s.after(saveEvery, func() { s.saveOften(n) })
	}
}

// save makes n save what it has, and keep what it had saved of what it lacks: for a while, until who has it has saved it too, or
// for good if it ends.
func (s *sim) save(n *simNode, ends bool) {
	was := s.saves.disks[n.id]
	disk := map[ring.Partition]simSaved{}
	for p := range ring.Partition(simPartitions) {
		parcels, has := n.core.Save(s.clock(n), p)
		if has || n.core.IsUnsaved(p) {
			n.lately[p] = s.now
		}
		switch old, ok := was[p]; {
		case len(parcels) > 0:
			rec := simSaved{at: s.now, term: parcels[0].Term}
			for _, msg := range Messages(parcels) {
				rec.msgs = append(rec.msgs, msg.Append(nil))
			}
			disk[p] = rec
		case ok && !has && (ends || s.now-n.lately[p] <= 3*saveEvery):
			disk[p] = old
		}
	}
	s.saves.disks[n.id] = disk
}

// blackout ends all nodes, by a stop or by a crash of all, and starts them again.
func (s *sim) blackout() {
	if len(s.alive) == 0 || s.saves.stops == 3 || s.now-s.saves.until < 4*time.Second && s.saves.stops > 0 {
		return
	}
	s.saves.stops++
	stop := s.saves.gentle || s.rng.IntN(2) == 0
	s.note("all end, by a stop: %v", stop)
	s.busy++
	all := append([]*simNode(nil), s.alive...)
	if stop {
		for _, n := range all {
			s.save(n, true)
		}
	}
	leaves := s.saves.left > 0 && s.now-s.saves.left < 4*saveEvery
	for _, n := range all {
		leaves = leaves || n.draining
	}
	for _, n := range all {
		s.end(n, true)
	}
	s.saves.until = s.now
	first := s.now + s.upTo(2*time.Second)
	back := map[*simNode]time.Duration{}
	for _, n := range all {
		back[n] = first + s.upTo(time.Second)
		if !s.saves.gentle && s.rng.IntN(6) == 0 { // others start without it
			back[n] += 3*time.Second + s.upTo(3*time.Second)
		}
	}
	s.regret(all, stop, leaves)
	soon := 0
	for _, n := range all {
		s.busy++
		s.after(back[n]-s.now, func() {
			s.busy--
			if s.nodes[n.id] == n {
				s.note("%s starts again", n.id)
				s.start(n.id)
				s.nodes[n.id].joined = soon == 0
				soon++
			}
		})
	}
	s.after(first-s.now, func() { s.busy-- })
}

// regret notes what a blackout may cost: nothing if all could save, and else what was admitted since the last time; and of what
// only one has that comes late, all that it has until then.
func (s *sim) regret(all []*simNode, stop, leaves bool) {
	for p := range ring.Partition(simPartitions) {
		last, was := simSaved{at: -1}, s.saves.since[p]
		s.saves.late[p] = nil
		for _, n := range all {
			if rec, ok := s.saves.disks[n.id][p]; ok && rec.at >= last.at {
				last = rec
				s.saves.late[p] = &simDelay{n.id, n.boot}
			}
		}
		s.saves.since[p] = last.at
		if !leaves {
			s.saves.since[p] = max(last.at, s.now-2*saveEvery)
		}
		if stop && !leaves {
			s.saves.since[p] = s.now
		}
		if s.saves.stops > 1 && !s.saves.begun[p] { // what the blackout before has cost was not missed yet
			s.saves.since[p] = min(s.saves.since[p], was)
		}
		s.saves.begun[p] = false
	}
}

// unsaved says whether what was admitted for p at some time may be lost by the last blackout.
func (s *sim) unsaved(p int, at time.Duration) bool {
	if s.saves.stops == 0 || at > s.saves.until {
		return false
	}
	if d := s.saves.late[p]; d != nil && s.nodes[d.id].boot == d.boot {
		return true // who has it has not come back
	}
	return at >= s.saves.since[p]
}

// newSavedSim returns the fleet of a seed that starts again from what it has saved.
func newSavedSim(seed uint64, bug plant, tables *simTables) *sim {
	s := newSim(seed, bug, tables)
	s.kind, s.mixed = blackouts, false
	if s.saves.gentle = seed%2 == 0; s.saves.gentle {
		s.net.loss, s.net.twice, s.net.spike = 0, 0, 0
	}
	return s
}

// savedStory is the story of s, in which all that was saved is merged in the end.
func savedStory(s *sim) error {
	if err := s.story(); err != nil {
		return err
	}
	for _, n := range s.alive {
		if left := n.core.Unsaved(); left > 0 {
			return fmt.Errorf("%s has not merged what it had saved of %d partitions", n.id, left)
		}
	}
	return nil
}

var savedSeeds = flag.Uint64("saved-seeds", savedMost, "how many seeds TestSimSaved tries")

// A fleet that stops as a whole and starts again from what its nodes have saved keeps all promises as if it had stood still; one
// that crashes as a whole forgets what was admitted since the last time that it saved, and nothing else.
func TestSimSaved(t *testing.T) {
	tables := newTables()
	if *seed != 0 {
		s := newSavedSim(*seed, noPlant, tables)
		s.tell = true
		err := savedStory(s)
		for _, n := range s.notes {
			t.Log(n)
		}
		if err != nil {
			t.Errorf("seed %d: %v", *seed, err)
		}
		return
	}
	var failed, stops atomic.Int64
	each(*from, *savedSeeds, func(i uint64) bool {
		s := newSavedSim(i, noPlant, tables)
		if err := savedStory(s); err != nil {
			t.Errorf("seed %d: %v", i, err)
			failed.Add(1)
		}
		stops.Add(int64(s.saves.stops))
		return failed.Load() < 5
	})
	if stops.Load() < int64(*savedSeeds)/2 {
		t.Errorf("only %d stops in %d seeds", stops.Load(), *savedSeeds)
	}
	t.Logf("%d seeds, %d stops of all nodes", *savedSeeds, stops.Load())
}

// Each planted bug breaks a promise in one of some fleets that start again.
func TestSimSavedPlanted(t *testing.T) {
	if plantedMost == 0 {
		t.Skip("under the race detector it would take long, and finds the same without")
	}
	tables := newTables()
	for bug := plants + 1; bug < savedPlants; bug++ {
		var found atomic.Uint64
		each(1, 200, func(i uint64) bool {
			err := savedStory(newSavedSim(i, bug, tables))
			if err != nil && savedStory(newSavedSim(i, noPlant, tables)) == nil && found.CompareAndSwap(0, i) {
				t.Logf("bug %d is found by seed %d: %.180v", bug, i, err)
			}
			return found.Load() == 0
		})
		if found.Load() == 0 {
			t.Errorf("200 seeds do not find bug %d", bug)
		}
	}
}
