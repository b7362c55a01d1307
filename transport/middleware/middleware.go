package middleware

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/transport/api"
)

// Errors of this package.
var (
	ErrConfig = errors.New("middleware configuration")   // what a constructor was given does not do
	ErrCaller = errors.New("unknown caller")             // a function of limits says it of requests whose sender is not who it claims to be
	ErrQueue  = errors.New("the turn comes too late")    // a limit has a queue, and it is longer than Config.MaxHold
	errAnswer = errors.New("decisions are not as asked") // a Checker's fault
)

// A Checker decides. *cluster.Node is one, and so is *client.Client of package transport/client.
type Checker interface {
	// CheckAll takes the costs of all of rs or of none. Its answer has one decision for each, in their order.
	CheckAll(ctx context.Context, rs []bucket.Request) (bucket.Decisions, error)
}

// A single is a Checker that decides on one request at less cost. Both of those named above do.
type single interface {
	Check(ctx context.Context, r bucket.Request) (bucket.Decision, error)
}

// A Met is a limit that a request meets.
type Met struct {
	// Name names the limit to callers. It is not the key, which may tell of others. Empty is "default".
	Name string

	// Request is what is asked of it. Limits of concurrency, and others that reserve, are not for middleware: it settles nothing.
	Request bucket.Request

	// Shadow says that the limit decides and counts, and never refuses.
	Shadow bool
}

// Config says by whom requests are limited.
type Config struct {
	// Checker decides. Required.
	Checker Checker

	// FailOpen lets requests pass on which Checker cannot decide. Default: they get 503, or UNAVAILABLE. What a limit does while
	// its holder alone is out of reach says its OnLost rule; this is for what is worse.
	FailOpen bool

	// MaxHold is the longest that a server's request waits for its turn where a limit has a queue; those that would wait longer
	// are refused, and their turn stays spent. Default: 30s; api.NoHold for none.
	MaxHold time.Duration

	// MaxWaiting is how many of a client's requests may wait at once; more fail with limiter.ErrCrowded. Default: 10,000.
	MaxWaiting int

	// Log is told of requests that could not be decided on, at most one a second. Default: nowhere.
	Log *slog.Logger
}

// withDefaults returns c with its zeros replaced, or what is wrong with it.
func (c Config) withDefaults(isNil bool) (Config, error) {
	switch {
	case c.Checker == nil:
		return c, fmt.Errorf("%w: no Checker; want a *cluster.Node or a *client.Client", ErrConfig)
	case isNil:
		return c, fmt.Errorf("%w: no limits; want a function that says which ones a request meets", ErrConfig)
	case c.MaxHold < 0 && c.MaxHold != api.NoHold:
		return c, fmt.Errorf("%w: MaxHold is %v; want 0 or more, or api.NoHold", ErrConfig, c.MaxHold)
	case c.MaxWaiting < 0:
		return c, fmt.Errorf("%w: MaxWaiting is %d; want 1 or more, or 0 for %d", ErrConfig, c.MaxWaiting, maxWaiting)
	}
	if c.MaxHold == 0 {
		c.MaxHold = 30 * time.Second
	}
	if c.MaxWaiting == 0 {
		c.MaxWaiting = maxWaiting
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

const maxWaiting = 10_000

// One returns the Met of a request under one limit: named name, of which each key has a bucket of its own, that costs 1. The key
// may be anything; the bucket's is made of name and key, so that two limits do not meet in one bucket, and of a hash of
// those that are long or no UTF-8.
func One(name string, l bucket.Limit, key string) Met {
	return Met{Name: name, Request: bucket.Request{Key: Key(name, key), Limit: l, Cost: 1}}
}

// Key returns the key of a bucket from parts of any bytes: each with its length before it, so that different parts never make
// equal keys, or hashed where one is long or no UTF-8. More than five parts may be longer than bucket.MaxKey.
func Key(parts ...string) string {
	b := make([]byte, 0, 64)
	for _, p := range parts {
		if len(p) > maxPart || !utf8.ValidString(p) {
			sum := sha256.Sum256([]byte(p))
			b = append(b, '#')
			b = base64.RawURLEncoding.AppendEncode(b, sum[:])
			continue
		}
		b = strconv.AppendInt(b, int64(len(p)), 10)
		b = append(b, ':')
		b = append(b, p...)
	}
	return string(b)
}

// maxPart is the longest part of a key that is not hashed: five fit.
const maxPart = 96
