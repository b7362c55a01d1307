package bucket

import (
	"cmp"
	"slices"
	"sync"
)

// Hot is a key that is asked for often.
type Hot struct {
	Key string

	// Takes estimates how often, weighted towards the recent past: it is an upper bound of the sampled count.
	Takes uint64
}

// sampleEvery is how many takes of a shard go unseen for one that is counted. At 64 counting costs 2 ns of a take.
const sampleEvery = 64

// sample counts a take of sh and returns how many takes this one stands for in topKeys, mostly 0.
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

// topSize is how many keys topKeys counts.
const topSize = 128

// topKeys finds the keys that are asked for most, in constant memory (Space-Saving: Metwally, Agrawal, El Abbadi, ICDT
// 2005): a key that it does not count takes the place and the count of the one that it counted least.
type topKeys struct {
	mu    sync.Mutex
	of    map[string]int // index into hot; guarded by mu
	hot   []Hot          // in no order; guarded by mu
	total uint64         // since the last halving; guarded by mu
}

// topHalf is after how many takes all counts are halved, so that what was hot once fades.
const topHalf = 1 << 22

func (t *topKeys) init() {
	t.of, t.hot = make(map[string]int, topSize), make([]Hot, 0, topSize)
}

func (t *topKeys) add(key string, weight uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.total += weight; t.total >= topHalf {
		t.halve()
	}
	if i, ok := t.of[key]; ok {
		t.hot[i].Takes += weight
		return
	}
	i := len(t.hot)
	if i < topSize {
		t.hot = append(t.hot, Hot{})
	} else {
		i = t.least()
		delete(t.of, t.hot[i].Key)
	}
	t.hot[i] = Hot{Key: cloned(key), Takes: t.hot[i].Takes + weight}
	t.of[t.hot[i].Key] = i
}

// least returns the index of the key with the least count.
func (t *topKeys) least() int {
	least := 0
	for i := range t.hot {
		if t.hot[i].Takes < t.hot[least].Takes {
			least = i
		}
	}
	return least
}

func (t *topKeys) halve() {
	t.total = 0
	for i := range t.hot {
		t.hot[i].Takes /= 2
	}
}

func (t *topKeys) list(n int) []Hot {
	t.mu.Lock()
	hot := slices.Clone(t.hot)
	t.mu.Unlock()
	slices.SortFunc(hot, func(a, b Hot) int {
		return cmp.Or(cmp.Compare(b.Takes, a.Takes), cmp.Compare(a.Key, b.Key))
	})
	return hot[:min(max(n, 0), len(hot))]
}
