package main

import (
	"math/rand/v2"
	"strconv"
)

// A keySpace is the keys that a bench asks for and how often each comes.
type keySpace struct {
	number int
	dist   string
	prefix string
	seed   int
}

// zipfS is the exponent of zipf: the key of rank k comes in proportion to (1+k)^-zipfS.
const zipfS = 1.1

// hotOf is of how many requests all but one are for the hot key.
const hotOf = 10

// A keyPicker picks the keys of one caller.
type keyPicker struct {
	space keySpace
	rand  *rand.Rand
	zipf  *rand.Zipf
}

// picker returns the picker of the caller with that number. Two with equal numbers pick the same.
func (s keySpace) picker(caller int) *keyPicker {
	r := rand.New(rand.NewPCG(uint64(s.seed), uint64(caller)))
	return &keyPicker{space: s, rand: r, zipf: rand.NewZipf(r, zipfS, 1, uint64(s.number-1))}
}

// index picks a key by its number.
func (p *keyPicker) index() int {
	n := p.space.number
	switch {
	case p.space.dist == "zipf":
		return int(p.zipf.Uint64())
	case p.space.dist == "hot" && (n == 1 || p.rand.IntN(hotOf) > 0):
		return 0
	case p.space.dist == "hot":
		return 1 + p.rand.IntN(n-1)
	}
	return p.rand.IntN(n)
}

// pick fills in keys, each with another key.
func (p *keyPicker) pick(keys []string) {
	if len(keys) == 1 {
		keys[0] = p.key(p.index())
		return
	}
	// One key and those after it: a request may have no key twice, and drawing until there is none would take forever
	// where nearly all keys are wanted.
	first := p.index()
	for i := range keys {
		keys[i] = p.key((first + i) % p.space.number)
	}
}

// key returns the key of that number.
func (p *keyPicker) key(index int) string {
	b := make([]byte, 0, len(p.space.prefix)+10)
	b = append(b, p.space.prefix...)
	return string(strconv.AppendInt(b, int64(index), 10))
}
