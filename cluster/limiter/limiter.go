// Package limiter is one limit that all nodes of a cluster share, in the words of the limiters that people know: Allow,
// Wait, Reserve.
//
// It stands between a service and whoever decides for it, a cluster.Node in the same process or a client of a cluster that
// runs elsewhere, and is a package of its own because neither has to know it.
package limiter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/noriahq/noria/bucket"
)

// Errors of a Limiter. Those of its Cluster come as they are, and Wait's wrap cluster.ErrTooLate too.
var (
	ErrConfig  = errors.New("limiter configuration")        // what New was given does not do
	ErrCrowded = errors.New("too many wait for their turn") // Config.MaxWaiting of them
	ErrGone    = errors.New("no such reservation")          // expired, or never made as its cluster was out of reach
)

// A Cluster decides. *cluster.Node is one, and so is *client.Client of package transport/client.
type Cluster interface {
	// Check takes r's cost from its bucket or refuses; a refusal is a Decision.
	Check(ctx context.Context, r bucket.Request) (bucket.Decision, error)

	// Settle says what reservations came to. Its answer has one Settled for each.
	Settle(ctx context.Context, s ...bucket.Settlement) ([]bucket.Settled, error)

	// Reset makes the bucket named key full again.
	Reset(ctx context.Context, key string) error
}

// Config says what a Limiter limits, and by whom.
type Config struct {
	// Cluster decides. Required.
	Cluster Cluster

	// Limit is the limit of each key. Required. bucket.ParseLimit reads one from text.
	Limit bucket.Limit

	// Prefix comes before each key, so that two Limiters of one cluster do not share buckets. Default: none.
	Prefix string

	// Durability, OnLost and ColdStart are the limit's, as in bucket.Request.
	Durability bucket.Durability
	OnLost     bucket.OnLost
	ColdStart  bucket.ColdStart

	// Keep is how long a reservation lives that nobody settles or renews, at most bucket.MaxReserve. Default: 1m. More keeps
	// tokens longer from others where the one who reserved has died.
	Keep time.Duration

	// MaxWaiting is how many callers of Wait may stand in line, over all keys; more get ErrCrowded. Default: 10,000.
	MaxWaiting int
}

const (
	defaultKeep    = time.Minute
	defaultWaiting = 10_000
)

// A Limiter limits each key by one limit. It is safe for concurrent use.
type Limiter struct {
	config Config
	lines  *Lines
}

// New returns a Limiter. It asks nobody. An error wraps ErrConfig.
func New(c Config) (*Limiter, error) {
	if c.Keep == 0 {
		c.Keep = defaultKeep
	}
	if c.MaxWaiting == 0 {
		c.MaxWaiting = defaultWaiting
	}
	switch {
	case c.Cluster == nil:
		return nil, fmt.Errorf("%w: no Cluster; want a *cluster.Node or a *client.Client", ErrConfig)
	case c.Keep < 0 || c.Keep > bucket.MaxReserve:
		return nil, fmt.Errorf("%w: Keep is %v; want up to %v, or 0 for %v", ErrConfig, c.Keep, bucket.MaxReserve, defaultKeep)
	case c.MaxWaiting < 0:
		return nil, fmt.Errorf("%w: MaxWaiting is %d; want 1 or more, or 0 for %d", ErrConfig, c.MaxWaiting, defaultWaiting)
	}
	if err := c.Limit.Validate(); err != nil {
		return nil, fmt.Errorf("%w: Limit: %w", ErrConfig, err)
	}
	return &Limiter{config: c, lines: NewLines(c.MaxWaiting)}, nil
}

// request returns one for n tokens of key.
func (l *Limiter) request(key string, n int64) bucket.Request {
	c := &l.config
	return bucket.Request{
		Key: c.Prefix + key, Limit: c.Limit, Cost: n, Durability: c.Durability, OnLost: c.OnLost, ColdStart: c.ColdStart,
	}
}

// Allow takes one token of key, or refuses. It blocks as its Cluster's Check does.
//
// The Decision says how many tokens are left and, of a refusal, when to come again. Where the limit has a queue an allowed
// caller has to wait for Decision.Delay before it goes ahead; Wait does that for it.
func (l *Limiter) Allow(ctx context.Context, key string) (bucket.Decision, error) {
	return l.AllowN(ctx, key, 1)
}

// AllowN takes n tokens of key, or none of them.
func (l *Limiter) AllowN(ctx context.Context, key string, n int64) (bucket.Decision, error) {
	return l.config.Cluster.Check(ctx, l.request(key, n))
}

// AllowOnce is AllowN for a request that may come again, such as an order that its buyer sends twice: all with one id are
// answered as the first one was and take nothing more, for some minutes and unless the node that holds key dies: its heir knows what was
// taken, and not by whom. ReserveOnce does without that exception. id has 1 to bucket.MaxID bytes.
func (l *Limiter) AllowOnce(ctx context.Context, key, id string, n int64) (bucket.Decision, error) {
	if id == "" {
		return bucket.Decision{}, fmt.Errorf("%w: empty, want 1 to %d bytes", bucket.ErrID, bucket.MaxID)
	}
	r := l.request(key, n)
	r.ID = id
	return l.config.Cluster.Check(ctx, r)
}

// Wait takes n tokens of key as soon as they are there, and returns when the caller may go ahead. Those who wait for one key
// at this Limiter are served in the order in which they came. Those at other nodes are not in this line: where all of a
// cluster shall take turns, the limit has a queue, whose turns its holder gives.
//
// If ctx ends before the tokens can be there, or no waiting helps, the error wraps cluster.ErrTooLate and comes at once, with
// nothing taken but, of a limit with a queue, the turn. Other errors are ErrCrowded, ctx's, and those of the Cluster's
// Check. Who gives up leaves the line to the next.
func (l *Limiter) Wait(ctx context.Context, key string, n int64) (bucket.Decision, error) {
	r := l.request(key, n)
	return l.lines.Wait(ctx, r.Key, n, r.Limit, func(ctx context.Context) (bucket.Decision, error) {
		return l.config.Cluster.Check(ctx, r)
	})
}

// Peek tells the level of key and takes nothing.
func (l *Limiter) Peek(ctx context.Context, key string) (bucket.Decision, error) {
	return l.AllowN(ctx, key, 0)
}

// Reset makes the bucket of key full again.
func (l *Limiter) Reset(ctx context.Context, key string) error {
	return l.config.Cluster.Reset(ctx, l.config.Prefix+key)
}
