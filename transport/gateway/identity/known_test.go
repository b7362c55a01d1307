package identity

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket/policy"
)

// What is remembered is bounded, however many tokens there are; one that is asked for now and then stays.
func TestKnownIsBounded(t *testing.T) {
	k, now := new(known), time.Now()
	digest := func(n int) *[sha256.Size]byte {
		d := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
		return &d
	}
	regular := digest(-1)
	k.add(regular, &policy.Caller{ID: "regular"}, now.Add(time.Hour))
	for n := range 200_000 {
		k.add(digest(n), &policy.Caller{ID: "some"}, now.Add(time.Hour))
		if n%5_000 == 0 && k.owner(regular, now) == nil {
			t.Fatalf("a token that is asked for is forgotten after %d others", n)
		}
	}
	if c := k.owner(digest(199_999), now); c == nil || c.ID != "some" {
		t.Errorf("the last token is %v's", c)
	}
	held := 0
	for i := range k {
		held += len(k[i].young) + len(k[i].old)
	}
	if most := 2 * knownShards * maxKnown; held > most || held < most/4 {
		t.Errorf("%d tokens are remembered, want at most %d", held, most)
	}
}
