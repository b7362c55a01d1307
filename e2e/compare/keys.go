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
	n     int
	asked []string
}

// newKeySet returns n keys in the order that the seed gives.
func newKeySet(n int, seed uint64) keySet {
	bytes := make([]byte, 0, n*keyBytes)
	for _, i := range rand.New(rand.NewPCG(seed, 0)).Perm(n) {
		bytes = appendKey(bytes, i)
	}
	all := string(bytes)
	ks := keySet{n: n, asked: make([]string, n)}
	for i := range ks.asked {
		ks.asked[i] = all[i*keyBytes:][:keyBytes]
	}
	return ks
}

// appendKey appends key number i, below 10,000,000.
func appendKey(b []byte, i int) []byte { return fmt.Appendf(b, "tenant:%04d/user:%07d", i%1000, i) }

// key returns key number i in memory of its own.
func key(i int) string { return string(appendKey(make([]byte, 0, keyBytes), i)) }
