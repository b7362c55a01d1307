package main

import (
	"crypto/sha256"
	"encoding/binary"
	"path/filepath"
	"sync"
)

// inForce are the hashes of what a node goes by, its policy and its rules of Envoy's rate limit service, and tells all members of both
// as one: so that status shows where nodes differ in either.
type inForce struct {
	say func(hash uint64)

	mu            sync.Mutex
	policy, rules uint64 // 0 for none; guarded by mu
}

// usePolicy notes the policy that the node goes by.
func (f *inForce) usePolicy(hash uint64) { f.use(&f.policy, hash) }

// useRules notes the rules that it goes by.
func (f *inForce) useRules(hash uint64) { f.use(&f.rules, hash) }

// use makes hash what one of both is.
func (f *inForce) use(one *uint64, hash uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*one = hash
	f.say(bothHashes(f.policy, f.rules))
}

// bothHashes returns the hash of a policy with rules beside it: that of the policy where there are none.
func bothHashes(policy, rules uint64) uint64 {
	if rules == 0 {
		return policy
	}
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, policy), rules))
	return binary.BigEndian.Uint64(sum[:]) | 1 // 0 means none
}

// hashFiles returns the hash of files with these names and contents, wherever their folder is.
func hashFiles(paths []string, contents [][]byte) uint64 {
	h := sha256.New()
	for i, path := range paths {
		for _, part := range [][]byte{[]byte(filepath.Base(path)), contents[i]} {
			h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part)))) // a hash takes all
			h.Write(part)
		}
	}
	return binary.BigEndian.Uint64(h.Sum(nil)) | 1 // 0 means none
}
