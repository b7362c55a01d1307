package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/noriahq/noria/cluster"
)

// A Check is one check as the HTTP API takes it.
type Check struct {
	Key        string `json:"key"`
	Limit      string `json:"limit"`
	Cost       *int64 `json:"cost,omitempty"` // nil for 1
	ID         string `json:"id,omitempty"`
	Name       string `json:"name,omitempty"`
	Durability string `json:"durability,omitempty"`
	OnLost     string `json:"on_lost,omitempty"`
	ColdStart  string `json:"cold_start,omitempty"`
}

// cost returns the tokens that c asks for.
func (c Check) cost() int64 {
	if c.Cost == nil {
		return 1
	}
	return *c.Cost
}

// An Answer is the answer to one check or to several, as the HTTP API gives it. Limit and DeniedBy of one check stay empty
// over gRPC.
type Answer struct {
	Allowed      bool     `json:"allowed"`
	Limit        string   `json:"limit"`
	Remaining    int64    `json:"remaining"`
	RetryAfterMS int64    `json:"retry_after_ms"`
	ResetAfterMS int64    `json:"reset_after_ms"`
	DelayMS      int64    `json:"delay_ms"`
	Node         string   `json:"node"`
	Source       string   `json:"source"`
	DeniedBy     string   `json:"denied_by"`
	Checks       []Answer `json:"checks"` // of CheckAll

	Header http.Header `json:"-"` // of HTTP
}

// A Client asks one node. It is safe for concurrent use and lives as long as the test.
type Client interface {
	// Check asks about one key.
	Check(ctx context.Context, c Check) (Answer, error)

	// CheckAll asks about several keys, all or nothing.
	CheckAll(ctx context.Context, cs ...Check) (Answer, error)

	// String says which node is asked, and how.
	String() string
}

// A Problem is an HTTP answer that decides nothing.
type Problem struct {
	Status int    `json:"status"` // of the answer
	Type   string `json:"type"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Body   string `json:"-"`
}

// Error implements error.
func (p *Problem) Error() string { return fmt.Sprintf("HTTP status %d: %s", p.Status, p.Body) }

// httpClient asks a node's HTTP API.
type httpClient struct {
	node *Node
	http *http.Client
}

// maxConns is how many connections a client opens to one node.
const maxConns = 64

// idle is how long a client keeps a connection that it has no use for. A client opens some that it needs no more once they
// are open; nodes close those on which nothing was asked for 5 seconds, and one that is taken just then fails a check that
// cannot be sent again.
const idle = 2 * time.Second

// HTTP returns a client of the node's HTTP API.
func (n *Node) HTTP() Client {
	transport := &http.Transport{MaxIdleConnsPerHost: maxConns, MaxConnsPerHost: maxConns, IdleConnTimeout: idle}
	n.t.Cleanup(transport.CloseIdleConnections)
	return &httpClient{node: n, http: &http.Client{Transport: transport}}
}

// String implements Client.
func (c *httpClient) String() string { return c.node.Name + " over HTTP" }

// Check implements Client.
func (c *httpClient) Check(ctx context.Context, check Check) (Answer, error) {
	return c.post(ctx, check)
}

// CheckAll implements Client.
func (c *httpClient) CheckAll(ctx context.Context, checks ...Check) (Answer, error) {
	return c.post(ctx, map[string]any{"checks": checks})
}

// post asks POST /v1/check.
func (c *httpClient) post(ctx context.Context, body any) (Answer, error) {
	out, err := json.Marshal(body)
	if err != nil {
		return Answer{}, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.node.Addr.API+"/v1/check", bytes.NewReader(out))
	if err != nil {
		return Answer{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	status, header, in, err := do(c.http, r)
	if err != nil {
		return Answer{}, fmt.Errorf("%v: %w", c, err)
	}
	a := Answer{Header: header}
	if status != http.StatusOK && status != http.StatusTooManyRequests {
		return a, fmt.Errorf("%v: %w", c, problem(status, in))
	}
	if err := json.Unmarshal(in, &a); err != nil {
		return a, fmt.Errorf("%v: answer %s: %w", c, in, err)
	}
	if a.Allowed != (status == http.StatusOK) {
		return a, fmt.Errorf("%v: status %d with %s", c, status, in)
	}
	return a, nil
}

// problem returns the body of an answer with an error status as a Problem.
func problem(status int, body []byte) *Problem {
	p := &Problem{Body: string(body)}
	_ = json.Unmarshal(body, p) // not JSON: the body says it
	p.Status = status
	return p
}

// do sends r and reads the whole answer.
func do(c *http.Client, r *http.Request) (status int, header http.Header, body []byte, err error) {
	answer, err := c.Do(r)
	if err != nil {
		return 0, nil, nil, err
	}
	defer answer.Body.Close()
	body, err = io.ReadAll(answer.Body)
	return answer.StatusCode, answer.Header, body, err
}

// Get fetches http://addr/path and returns the status and the body.
func Get(ctx context.Context, addr, path string) (status int, body string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	status, _, in, err := do(http.DefaultClient, r)
	return status, string(in), err
}

// Status returns what the node knows of itself and of the cluster.
func (n *Node) Status(ctx context.Context) (cluster.Status, error) {
	status, body, err := Get(ctx, n.Addr.API, "/v1/status")
	if err != nil {
		return cluster.Status{}, fmt.Errorf("%s: %w", n.Name, err)
	}
	if status != http.StatusOK {
		return cluster.Status{}, fmt.Errorf("%s: %w", n.Name, problem(status, []byte(body)))
	}
	var s cluster.Status
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		return cluster.Status{}, fmt.Errorf("%s: status %s: %w", n.Name, body, err)
	}
	return s, nil
}
