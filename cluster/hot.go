package cluster

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/noriahq/noria/bucket"
)

// A HotKey is a key that is asked for often.
type HotKey struct {
	Key string `json:"key"`

	// Rate is how many checks of it a second a node has decided on of late, roughly: with bucket.Store's sketch for those that it
	// holds, and by samples of 1 in 64 for what leases and remembered denials answer.
	Rate float64 `json:"rate"`

	// Leased and Denied are the parts of Rate that were admitted by leases, and denied by remembered denials.
	Leased float64 `json:"leased,omitempty"`
	Denied float64 `json:"denied,omitempty"`
}

const (
	// hotEvery is how many checks that leases and denials answer go unseen for one that is counted as so many.
	hotEvery = 64

	// hotKept is how many keys have a rate at most: as many as three sketches count.
	hotKept = 3 * 128

	// hotWhile is the time over which rates are smoothed.
	hotWhile = 10 * time.Second

	// hotLook is how often the sketches are looked at.
	hotLook = time.Second
)

// Where checks are answered that hot counts.
const (
	hotHeld = iota
	hotLeased
	hotDenied
	hotSources
)

// hot knows the keys that are asked for most, by sketches of bounded size that count what the holder decides, what leases admit and
// what remembered denials deny. These count on counters that are there anyway, so a check pays nothing for it but one in 64.
//
// A sketch may give a key the count of one that it has replaced; how much a count grows is true. So rates are made of growth.
type hot struct {
	leased, denied *bucket.Top

	mu     sync.Mutex
	looked bucket.Instant     // guarded by mu
	keys   map[string]*warmth // guarded by mu
}

// warmth is how much is asked for one key.
type warmth struct {
	counts [hotSources]uint64  // as the sketches have them; 0 if they do not
	rates  [hotSources]float64 // smoothed, and too low as long as seen is short
	seen   float64             // for how long, in hotWhiles
	here   bool                // some sketch has it
}

func (t *hot) init() {
	t.leased, t.denied = bucket.NewTop(), bucket.NewTop()
	t.keys = map[string]*warmth{}
}

// repeated counts a check of key that was denied by what is remembered.
func (n *Node) repeated(key string) {
	if n.denials.repeated.Add(1)%hotEvery == 0 {
		n.hot.denied.Add(key, hotEvery)
	}
}

// look sees how much the counts have grown, once every hotLook.
func (t *hot) look(now bucket.Instant, held *bucket.Store) {
	t.mu.Lock()
	defer t.mu.Unlock()
	past := now.Sub(t.looked)
	if past < hotLook {
		return
	}
	t.looked = now
	for _, w := range t.keys {
		w.here = false
	}
	fade := math.Exp(-float64(past) / float64(hotWhile))
	grown := map[*warmth]*[hotSources]uint64{}
	for source, list := range [hotSources][]bucket.Hot{held.Top(hotKept), t.leased.List(hotKept), t.denied.List(hotKept)} {
		for _, h := range list {
			w := t.keys[h.Key]
			if w == nil {
				if len(t.keys) >= hotKept {
					continue
				}
				w = &warmth{}
				t.keys[h.Key] = w
			}
			w.here = true
			if grown[w] == nil {
				grown[w] = &[hotSources]uint64{}
			}
			if was := w.counts[source]; was > 0 && h.Takes > was {
				grown[w][source] = h.Takes - was
			}
			w.counts[source] = h.Takes
		}
	}
	for key, w := range t.keys {
		if !w.here && w.total() < 0.01 {
			delete(t.keys, key)
			continue
		}
		w.seen += float64(past) / float64(hotWhile)
		for i := range w.rates {
			w.rates[i] *= fade
			if g := grown[w]; g != nil {
				w.rates[i] += (1 - fade) * float64(g[i]) / past.Seconds()
			}
		}
	}
}

func (w *warmth) total() (sum float64) {
	for _, r := range w.rates {
		sum += r
	}
	return sum
}

// list returns up to most keys, the hottest first.
func (t *hot) list(most int) []HotKey {
	t.mu.Lock()
	defer t.mu.Unlock()
	keys := make([]HotKey, 0, len(t.keys))
	for key, w := range t.keys {
		full := 1 - math.Exp(-max(w.seen, 0.05)) // what a steady rate has come to since
		if rate := w.total() / full; rate >= 0.005 {
			keys = append(keys, HotKey{key, rate, w.rates[hotLeased] / full, w.rates[hotDenied] / full})
		}
	}
	slices.SortFunc(keys, func(a, b HotKey) int { return cmp.Or(cmp.Compare(b.Rate, a.Rate), cmp.Compare(a.Key, b.Key)) })
	return keys[:min(len(keys), max(most, 0))]
}
