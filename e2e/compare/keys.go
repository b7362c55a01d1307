package main

import (
	"fmt"
	"math/rand/v2"
)

// keyBytes is the length of each key.
const keyBytes = 24

// A keySet is the keys of one measurement, twice: as a limiter meets them first and as it is asked about them later. The
// latter are other strings with the same bytes, as a request off the wire has, in another order, and lie in memory one
// behind the other: what a limiter keeps is not at hand, what the caller brings is.
type keySet struct {
	n   int
	all string
}

// newKeySet returns n keys in the order that the seed gives.
func newKeySet(n int, seed uint64) keySet {
	bytes := make([]byte, 0, n*keyBytes)
	for _, i := range rand.New(rand.NewPCG(seed, 0)).Perm(n) {
		bytes = appendKey(bytes, i)
	}
	return keySet{n: n, all: string(bytes)}
}

// asked returns the key that is asked about as number i.
func (ks keySet) asked(i int) string { return ks.all[i*keyBytes:][:keyBytes] }

// list returns all keys in the order in which they are asked about.
func (ks keySet) list() []string {
	list := make([]string, ks.n)
	for i := range list {
		list[i] = ks.asked(i)
	}
	return list
}

// appendKey appends key number i, below 10,000,000.
func appendKey(b []byte, i int) []byte { return fmt.Appendf(b, "tenant:%04d/user:%07d", i%1000, i) }

// key returns key number i in memory of its own.
func key(i int) string { return string(appendKey(make([]byte, 0, keyBytes), i)) }
