package limiter

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/noriahq/noria/bucket"
)

// A Reservation is tokens that were taken for what is not known yet, or a slot of a limit of concurrency. It is safe for
// concurrent use.
type Reservation struct {
	// Decision is the answer to Reserve. If it is not Allowed there is nothing to settle.
	Decision bucket.Decision

	limiter *Limiter
	key, id string
}

// Reserve takes n tokens of key for Config.Keep, within which Settle says what it came to, or Cancel gives all back. What is
// not settled by then stays spent or, of a limit such as "concurrency 20", comes back. The limit has no queue.
//
// A refusal is a Reservation whose Decision is not Allowed.
func (l *Limiter) Reserve(ctx context.Context, key string, n int64) (*Reservation, error) {
	return l.ReserveOnce(ctx, key, rand.Text(), n)
}

// ReserveOnce is Reserve for a request that may come again, such as a buyer's who was not answered: as long as its reservation
// lives, all with one id take nothing more, and keep it for Config.Keep from then on. With bucket.Sync reservations outlive the node that
// holds key. id has 1 to bucket.MaxID bytes.
func (l *Limiter) ReserveOnce(ctx context.Context, key, id string, n int64) (*Reservation, error) {
	r := l.request(key, n)
	r.ID, r.Reserve = id, l.config.Keep
	d, err := l.config.Cluster.Check(ctx, r)
	if err != nil {
		return nil, err
	}
	return &Reservation{Decision: d, limiter: l, key: r.Key, id: r.ID}, nil
}

// Cancel gives back all that is reserved. It may be called again, and after an error has to be; of a refusal there is nothing
// to give back. It is Settle with a cost of 0.
func (r *Reservation) Cancel(ctx context.Context) error {
	_, err := r.Settle(ctx, 0)
	return err
}

// Settle says that the reservation came to cost tokens: less than was reserved gives the rest back, more takes it though it
// may not be there. Only the first one counts, and one that comes again is answered alike. The error wraps ErrGone if there is no such
// reservation any more, or is one of the Cluster's Settle, after which it may be called again.
func (r *Reservation) Settle(ctx context.Context, cost int64) (bucket.Settled, error) {
	return r.settle(ctx, bucket.Settlement{Key: r.key, ID: r.id, Cost: cost})
}

// Renew keeps the reservation for Config.Keep from now on. Errors are those of Settle.
func (r *Reservation) Renew(ctx context.Context) error {
	_, err := r.settle(ctx, bucket.Settlement{Key: r.key, ID: r.id, Renew: r.limiter.config.Keep})
	return err
}

func (r *Reservation) settle(ctx context.Context, s bucket.Settlement) (bucket.Settled, error) {
	if !r.Decision.Allowed {
		return bucket.Settled{}, nil
	}
	said, err := r.limiter.config.Cluster.Settle(ctx, s)
	switch {
	case err != nil:
		return bucket.Settled{}, err
	case len(said) != 1:
		return bucket.Settled{}, fmt.Errorf("%d answers to one settlement", len(said))
	case !said[0].Known:
		return said[0], fmt.Errorf("%w: of key %q", ErrGone, r.key)
	}
	return said[0], nil
}
