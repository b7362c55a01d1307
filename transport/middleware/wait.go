package middleware

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/limiter"
	"github.com/noriahq/noria/transport"
)

// A waiter lets a client's requests wait for their turns.
type waiter struct {
	guard
	lines *limiter.Lines
}

func newWaiter(c Config) *waiter {
	return &waiter{guard: guard{Config: c}, lines: limiter.NewLines(c.MaxWaiting)}
}

// wait waits until all of met allow together. Those who meet the same limits under the same keys are served in the order in
// which they came.
func (w *waiter) wait(ctx context.Context, met []Met) error {
	if len(met) == 0 {
		return nil
	}
	key, limit := met[0].Request.Key, met[0].Request.Limit
	if len(met) > 1 {
		keys := make([]string, len(met))
		for i := range met {
			keys[i] = met[i].Request.Key
		}
		key, limit = strings.Join(keys, "\xff"), bucket.Limit{} // no key has this byte
	}
	_, err := w.lines.Wait(ctx, key, met[0].Request.Cost, limit, func(ctx context.Context) (bucket.Decision, error) {
		v, err := w.decide(ctx, met)
		if err != nil {
			return bucket.Decision{}, err
		}
		d := bucket.Decision{Allowed: v.denied < 0, Delay: v.delay}
		if !d.Allowed {
			d.RetryAfter = denial(&v).after
		}
		return d, nil
	})
	if err != nil && w.FailOpen && ctx.Err() == nil && passes(err) && !errors.Is(err, cluster.ErrTooLate) {
		w.log(ctx, err)
		return nil
	}
	return err
}

// RoundTripper returns a client's transport whose requests wait until limits and c let them go, and then go to next, or to
// http.DefaultTransport where that is nil. Those that meet the same limits go in the order in which they came. Where a request's
// context ends before that can be, it fails at once with an error that wraps cluster.ErrTooLate. An error of RoundTripper
// itself wraps ErrConfig.
func RoundTripper(c Config, next http.RoundTripper, limits HTTPLimits) (http.RoundTripper, error) {
	c, err := c.withDefaults(limits == nil)
	if err != nil {
		return nil, err
	}
	if next == nil {
		next = http.DefaultTransport
	}
	return &tripper{waiter: newWaiter(c), next: next, limits: limits}, nil
}

type tripper struct {
	*waiter
	next   http.RoundTripper
	limits HTTPLimits
}

// RoundTrip implements http.RoundTripper.
func (t *tripper) RoundTrip(r *http.Request) (*http.Response, error) {
	met, err := t.limits(r)
	if err == nil {
		err = t.wait(r.Context(), met)
	}
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	return t.next.RoundTrip(r)
}

// UnaryClient returns an interceptor whose calls wait as the requests of RoundTripper do. Where the deadline comes before the
// turn a call ends at once with DEADLINE_EXCEEDED, and with RESOURCE_EXHAUSTED where too many wait.
func UnaryClient(c Config, limits GRPCLimits) (grpc.UnaryClientInterceptor, error) {
	c, err := c.withDefaults(limits == nil)
	if err != nil {
		return nil, err
	}
	w := newWaiter(c)
	return func(ctx context.Context, method string, m, answer any, conn *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if err := w.waitCall(ctx, method, limits); err != nil {
			return err
		}
		return next(ctx, method, m, answer, conn, opts...)
	}, nil
}

// StreamClient is UnaryClient for streams, each of which waits once, before it begins.
func StreamClient(c Config, limits GRPCLimits) (grpc.StreamClientInterceptor, error) {
	c, err := c.withDefaults(limits == nil)
	if err != nil {
		return nil, err
	}
	w := newWaiter(c)
	return func(ctx context.Context, what *grpc.StreamDesc, conn *grpc.ClientConn, method string, next grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		if err := w.waitCall(ctx, method, limits); err != nil {
			return nil, err
		}
		return next(ctx, what, conn, method, opts...)
	}, nil
}

// waitCall waits for the turn of a call, and returns the status that it ends with instead.
func (w *waiter) waitCall(ctx context.Context, method string, limits GRPCLimits) error {
	met, err := limits(ctx, method)
	if err != nil {
		return w.unmetCall(ctx, err)
	}
	err = w.wait(ctx, met)
	if errors.Is(err, limiter.ErrCrowded) {
		return status.Error(codes.ResourceExhausted, err.Error())
	}
	return transport.GRPC(err)
}
