package identity

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/noriahq/noria/bucket/policy"
)

const (
	knownShards = 16
	maxKnown    = 1024 // of each shard, twice: 32,768 tokens in all
)

// known remembers whose tokens are that were checked. It is safe for concurrent use.
type known [knownShards]knownShard

// A knownShard remembers those whose hash is in it. When young is full it becomes old, and what was old is forgotten: who
// asks again and again is copied into young in time.
type knownShard struct {
	mu         sync.Mutex
	young, old map[[sha256.Size]byte]checked // guarded by mu
}

// checked is a token that was good.
type checked struct {
	owner *policy.Caller
	ends  time.Time
}

// owner returns whose the token with digest is, nil if that is not known or the token has ended.
func (k *known) owner(digest *[sha256.Size]byte, now time.Time) *policy.Caller {
	s := &k[digest[0]%knownShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.young[*digest]
	if !ok {
		if c, ok = s.old[*digest]; !ok {
			return nil
		}
		s.put(digest, c)
	}
	if !now.Before(c.ends) {
		delete(s.young, *digest)
		delete(s.old, *digest)
		return nil
	}
	return c.owner
}

// add remembers that the token with digest is owner's until it ends.
func (k *known) add(digest *[sha256.Size]byte, owner *policy.Caller, ends time.Time) {
	s := &k[digest[0]%knownShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(digest, checked{owner, ends})
}

// put puts c among the young. The caller holds s.mu.
func (s *knownShard) put(digest *[sha256.Size]byte, c checked) {
	if len(s.young) >= maxKnown {
		s.young, s.old = nil, s.young
	}
	if s.young == nil {
		s.young = make(map[[sha256.Size]byte]checked)
	}
	s.young[*digest] = c
}
