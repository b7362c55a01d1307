package bucket

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sync"
)

// Hot is a key that is asked for often.
type Hot struct {
	Key string

	// Takes estimates how often, weighted towards the recent past.
	Takes uint64
}

// sampleEvery is how many takes of a shard go unseen for one that is counted. At 64 counting costs 2 ns of a take.
const sampleEvery = 64

// sample counts a take of sh and returns how many takes this one stands for in a Top, mostly 0.
func (sh *shard) sample() uint64 {
	sh.takes++
	switch {
	case sh.takes == 1:
		return 1
	case sh.takes%sampleEvery == 0:
		return sampleEvery
	}
	return 0
}

// topSize is how many keys a Top counts.
const topSize = 128

// A Top finds the keys that are asked for most, in constant memory (Space-Saving: Metwally, Agrawal, El Abbadi, ICDT
// 2005, with random admission: Ben Basat, Chen, Einziger, Friedman, ANCS 2017): a key that it does not count takes the
// place and the count of the one that it counted least, but the less likely the more that is. So keys that are asked for
// once mostly change nothing. It is safe for concurrent use.
type Top struct {
	mu    sync.Mutex
	of    map[string]int // index into hot; guarded by mu
	hot   []Hot          // in no order; guarded by mu
	least int            // index of the key with the least count; guarded by mu
	total uint64         // since the last halving; guarded by mu
}

// topHalf is after how many takes all counts are halved, so that what was hot once fades.
const topHalf = 1 << 22

// NewTop returns a Top that has counted nothing.
func NewTop() *Top {
	return &Top{of: make(map[string]int, topSize), hot: make([]Hot, 0, topSize)}
}

// Add counts weight takes of key, whose string it does not keep. If somebody else is counting it does nothing, rather than wait.
func (t *Top) Add(key string, weight uint64) {
	if !t.mu.TryLock() {
		return
	}
	defer t.mu.Unlock()
	if t.total += weight; t.total >= topHalf {
		t.halve()
	}
	i, ok := t.of[key]
	switch {
	case ok:
		t.hot[i].Takes += weight
		if i == t.least {
			t.seek()
		}
	case len(t.hot) < topSize:
		t.hot = append(t.hot, Hot{})
		t.replace(len(t.hot)-1, key, weight)
	case rand.Uint64N(t.hot[t.least].Takes+weight) < weight:
		t.replace(t.least, key, weight)
	}
}

// replace makes the place of key i that of another.
func (t *Top) replace(i int, key string, weight uint64) {
	delete(t.of, t.hot[i].Key)
	key = cloned(key)
	t.hot[i] = Hot{Key: key, Takes: t.hot[i].Takes + weight}
	t.of[key] = i
	t.seek()
}

// seek finds the key with the least count.
func (t *Top) seek() {
	t.least = 0
	for i := range t.hot {
		if t.hot[i].Takes < t.hot[t.least].Takes {
			t.least = i
		}
	}
}

func (t *Top) halve() {
	t.total = 0
	for i := range t.hot {
		t.hot[i].Takes /= 2
	}
}

// List returns up to n keys, the hottest first.
func (t *Top) List(n int) []Hot {
	t.mu.Lock()
	hot := slices.Clone(t.hot)
	t.mu.Unlock()
	slices.SortFunc(hot, func(a, b Hot) int {
		return cmp.Or(cmp.Compare(b.Takes, a.Takes), cmp.Compare(a.Key, b.Key))
	})
	return hot[:min(max(n, 0), len(hot))]
}
