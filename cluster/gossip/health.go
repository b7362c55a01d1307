package gossip

import (
	"strings"
	"sync/atomic"
)

// Health is how well this node's gossip goes.
type Health struct {
	// Score is memberlist's awareness of itself: 0 is well, and each more says that this node hears answers late or is suspected, so
	// that it gives others more time. 8 is the worst.
	Score int

	Suspicions uint64 // times that this node began to suspect another of being dead
	Refuted    uint64 // times that this node had to tell others that it lives
	Deaths     uint64 // times that this node took another for dead
	Refused    uint64 // times that this node heard of one that it does not let in: of another cluster, or too old or too new
}

// troubles are what a journal has counted.
type troubles struct{ suspicions, refuted, deaths, refused atomic.Uint64 }

// Health returns how well the gossip goes, zero before Run.
func (g *Gossip) Health() Health {
	t := &g.journal.troubles
	h := Health{Suspicions: t.suspicions.Load(), Refuted: t.refuted.Load(), Deaths: t.deaths.Load(), Refused: t.refused.Load()}
	select {
	case <-g.ready:
		h.Score = g.list.GetHealthScore()
	default:
	}
	return h
}

// count counts what a line of memberlist tells, which has no other way to say it.
func (t *troubles) count(text string) {
	switch {
	case strings.HasPrefix(text, "Suspect "):
		t.suspicions.Add(1)
	case strings.HasPrefix(text, "Refuting a suspect "), strings.HasPrefix(text, "Refuting a dead "):
		t.refuted.Add(1)
	case strings.HasPrefix(text, "Marking "):
		t.deaths.Add(1)
	}
}
