package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/noriahq/noria/transport/api"
	"github.com/noriahq/noria/transport/noriapb"
)

// A caller asks one target. Its methods are called by many goroutines at once.
type caller interface {
	// ask asks for tokens of keys, all or nothing, on behalf of the caller with that number, who waits for one answer at a
	// time.
	ask(ctx context.Context, number int, keys []string) outcome

	// close ends what is under way.
	close()
}

// An outcome is how one request ended.
type outcome struct {
	allowed  bool
	degraded bool
	err      string // what went wrong, "" if there was an answer
}

// connect returns a caller for every target. All of them must be reachable.
func (b *bench) connect(ctx context.Context) ([]caller, error) {
	var callers []caller
	for _, t := range b.targets {
		c, err := b.caller(ctx, t)
		if err != nil {
			for _, c := range callers {
				c.close()
			}
			return nil, err
		}
		callers = append(callers, c)
	}
	return callers, nil
}

// caller returns the caller for t, which it asks for its status.
func (b *bench) caller(ctx context.Context, t target) (caller, error) {
	if t.http {
		probe := client{admin: t.addr, timeout: b.timeout, access: b.access} // the API has the status too
		var s struct{}
		if err := probe.get(ctx, api.PathStatus, &s); err != nil {
			return nil, err
		}
		return newHTTPCaller(b, t.addr)
	}
	probe := client{node: t.addr, timeout: b.timeout, access: b.access}
	err := probe.ask(ctx, func(ctx context.Context, n noriapb.NoriaClient) error {
		_, err := n.Status(ctx, &noriapb.StatusRequest{})
		return err
	})
	if err != nil {
		return nil, err
	}
	conn, err := dial(t.addr, b.access)
	if err != nil {
		return nil, err
	}
	if b.stream {
		return newStreamCaller(b, conn), nil
	}
	return &grpcCaller{bench: b, conn: conn, node: noriapb.NewNoriaClient(conn)}, nil
}

// checks returns what to ask for keys.
func (b *bench) checks(keys []string) []*noriapb.CheckRequest {
	cost := int64(b.cost)
	checks := make([]*noriapb.CheckRequest, len(keys))
	for i, k := range keys {
		checks[i] = &noriapb.CheckRequest{Key: k, Limit: b.limitText, Cost: &cost}
	}
	return checks
}

// A grpcCaller makes one call for each request.
type grpcCaller struct {
	bench *bench
	conn  *grpc.ClientConn
	node  noriapb.NoriaClient
}

// ask implements caller.
func (c *grpcCaller) ask(ctx context.Context, _ int, keys []string) outcome {
	checks := c.bench.checks(keys)
	if len(checks) == 1 {
		r, err := c.node.Check(ctx, checks[0])
		if err != nil {
			return outcome{err: status.Code(err).String()}
		}
		return outcome{allowed: r.GetAllowed(), degraded: r.GetSource() == noriapb.Source_SOURCE_DEGRADED}
	}
	r, err := c.node.CheckAll(ctx, &noriapb.CheckAllRequest{Checks: checks})
	if err != nil {
		return outcome{err: status.Code(err).String()}
	}
	return outcomeOf(r)
}

// outcomeOf returns the outcome that r tells.
func outcomeOf(r *noriapb.CheckAllResponse) outcome {
	o := outcome{allowed: r.GetAllowed()}
	for _, c := range r.GetChecks() {
		o.degraded = o.degraded || c.GetSource() == noriapb.Source_SOURCE_DEGRADED
	}
	return o
}

// close implements caller.
func (c *grpcCaller) close() { _ = c.conn.Close() } // it is the end of the run either way

// An httpCaller makes one POST for each request.
type httpCaller struct {
	bench  *bench
	url    string
	client *http.Client
}

// newHTTPCaller returns the caller of the HTTP API at addr.
func newHTTPCaller(b *bench, addr string) (*httpCaller, error) {
	client, scheme, err := b.access.web(&http.Transport{
		MaxIdleConns: b.concurrency, MaxIdleConnsPerHost: b.concurrency, IdleConnTimeout: time.Minute, DisableCompression: true,
	})
	if err != nil {
		return nil, err
	}
	return &httpCaller{bench: b, url: scheme + "://" + addr + api.PathCheck, client: client}, nil
}

// An httpCheck is the body of a POST.
type httpCheck struct {
	Key    string      `json:"key,omitempty"`
	Limit  string      `json:"limit,omitempty"`
	Cost   *int        `json:"cost,omitempty"`
	Checks []httpCheck `json:"checks,omitempty"`
}

// ask implements caller.
func (c *httpCaller) ask(ctx context.Context, _ int, keys []string) outcome {
	body := httpCheck{Checks: make([]httpCheck, len(keys))}
	for i, k := range keys {
		body.Checks[i] = httpCheck{Key: k, Limit: c.bench.limitText, Cost: &c.bench.cost}
	}
	if len(keys) == 1 {
		body = body.Checks[0]
	}
	b, err := json.Marshal(body)
	if err != nil {
		return outcome{err: err.Error()}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(b))
	if err != nil {
		return outcome{err: err.Error()}
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := c.client.Do(r)
	if err != nil {
		return outcome{err: kindOfHTTP(err)}
	}
	defer res.Body.Close()
	return readAnswer(res)
}

// readAnswer returns the outcome that res tells.
func readAnswer(res *http.Response) outcome {
	var a answer
	b, err := io.ReadAll(io.LimitReader(res.Body, 4<<20)) // to the end, so that the connection can be used again
	switch {
	case err != nil:
		return outcome{err: kindOfHTTP(err)}
	case res.StatusCode != http.StatusOK && res.StatusCode != http.StatusTooManyRequests:
		return outcome{err: res.Status}
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return outcome{err: fmt.Sprintf("status %d without JSON", res.StatusCode)}
	}
	return outcome{allowed: a.Allowed, degraded: a.Source == "degraded"}
}

// kindOfHTTP returns a word for err that is the same for all errors of its kind.
func kindOfHTTP(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "DeadlineExceeded"
	}
	return "Unavailable"
}

// close implements caller.
func (c *httpCaller) close() { c.client.CloseIdleConnections() }
