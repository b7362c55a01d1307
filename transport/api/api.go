// Package api is what the world asks a node by: gRPC and HTTP/JSON for checks, HTTP for those who look after the node.
//
// It decodes, validates, asks a Limiter and says the answer in the caller's words. A refusal is an answer; an error
// means that nothing was decided, and transport.FailureOf says how it is told.
package api

import (
	"context"
	"log/slog"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/transport/shed"
)

// A Limiter decides. *cluster.Node is one. Its methods are called by many goroutines at once.
type Limiter interface {
	// Check takes r's cost from its bucket or refuses.
	Check(ctx context.Context, r bucket.Request) (bucket.Decision, error)

	// CheckAll takes the costs of all of rs or of none. Its answer has one decision for each, in their order.
	CheckAll(ctx context.Context, rs []bucket.Request) (bucket.Decisions, error)

	// Settle says what reservations came to. Its answer has one Settled for each.
	Settle(ctx context.Context, s ...bucket.Settlement) ([]bucket.Settled, error)

	// Reset forgets the bucket named key: it is full again.
	Reset(ctx context.Context, key string) error

	// Status says what the node knows of itself and of the cluster.
	Status() cluster.Status
}

// MaxChecks is the most checks of one all-or-nothing request.
const MaxChecks = 1000

// MaxBody is the most bytes of one request, in JSON and in protobuf. MaxChecks checks with the longest keys fit.
const MaxBody = 1 << 20

// MaxName is the most bytes of the name of a check's limit.
const MaxName = 64

// NoHold is the MaxHold of a server that never holds answers.
const NoHold time.Duration = -1

// Config tunes NewHTTP and NewGRPC. Its zero value is ready for use.
type Config struct {
	// MaxHold is the longest that the server holds the answer to a request that has to wait for its turn. A longer wait is
	// told at once and left to the caller. Default: 30s; NoHold for none. More costs open calls.
	MaxHold time.Duration

	// MaxHeld is how many answers the server holds at once; the waits beyond are left to the callers. Default: 10,000. One
	// costs some kilobytes.
	MaxHeld int

	// MaxInFlight is how many checks of one StreamChecks stream are decided on at once; the server reads no more until
	// there is room. Default: MaxChecks, which is the least. More costs memory where a client asks faster than it is
	// answered.
	MaxInFlight int

	// Stopping, once closed, makes the server finish: held answers go out at once, streams take no more requests, health
	// says NOT_SERVING. Calls are still answered. Default: nil, never.
	Stopping <-chan struct{}

	// Gate says which of the checks that come by streams are refused because there is too much to do; calls and requests by
	// HTTP have to pass it before they come here. Default: nil, none.
	Gate *shed.Gate

	// Log is told of errors that are the node's fault. Default: nowhere.
	Log *slog.Logger
}

// withDefaults returns c with its zeros replaced.
func (c Config) withDefaults() Config {
	if c.MaxHold == 0 {
		c.MaxHold = 30 * time.Second
	}
	if c.MaxHeld <= 0 {
		c.MaxHeld = 10_000
	}
	c.MaxInFlight = max(c.MaxInFlight, MaxChecks)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}
