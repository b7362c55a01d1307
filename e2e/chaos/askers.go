package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/noriahq/noria/transport/noriapb"
)

// A caller is a client at one node, of which there may be another later by the same name.
type caller struct {
	client int
	node   *node
}

// An asker asks one node.
type asker interface {
	ask(ctx context.Context, c Check) (Answer, error)
	close()
}

// Check implements Fleet. Clients with even numbers ask over gRPC, the others over HTTP.
func (f *fleet) Check(ctx context.Context, name string, c Check) (Answer, error) {
	n, err := f.node(name)
	if err != nil {
		return Answer{}, err
	}
	a, err := f.asker(caller{c.Client, n})
	if err != nil {
		return Answer{}, err
	}
	return a.ask(ctx, c)
}

// asker returns the connection of a caller.
func (f *fleet) asker(c caller) (asker, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if a := f.callers[c]; a != nil {
		return a, nil
	}
	n := c.node
	if !n.isReady() || n.hasEnded() {
		return nil, fmt.Errorf("%w: %s is not up", errUnreachable, n.name)
	}
	var a asker
	if c.client%2 == 0 {
		conn, err := grpc.NewClient("passthrough:///"+n.log.addresses().GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithNoProxy(), grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return f.dial(ctx, "tcp", addr) }))
		if err != nil {
			return nil, err
		}
		a = &grpcAsker{conn: conn, node: noriapb.NewNoriaClient(conn)}
	} else {
		a = &httpAsker{url: "http://" + n.log.addresses().API + "/v1/check", http: &http.Client{Transport: f.transport(workers)}}
	}
	f.callers[c] = a
	return a, nil
}

// forget closes the connections to a node that has ended.
func (f *fleet) forget(n *node) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c, a := range f.callers {
		if c.node == n {
			a.close()
			delete(f.callers, c)
		}
	}
}

// A grpcAsker asks over gRPC.
type grpcAsker struct {
	conn *grpc.ClientConn
	node noriapb.NoriaClient
}

// message returns c as gRPC has it.
func message(c Check) *noriapb.CheckRequest {
	return &noriapb.CheckRequest{
		Key: c.Key, Limit: c.Limit, Cost: &c.Cost,
		Durability: noriapb.Durability(noriapb.Durability_value["DURABILITY_"+strings.ToUpper(c.Durability)]),
		OnLost:     noriapb.OnLost(noriapb.OnLost_value["ON_LOST_"+strings.ToUpper(c.OnLost)]),
	}
}

// ask implements asker.
func (a *grpcAsker) ask(ctx context.Context, c Check) (Answer, error) {
	r, err := a.node.Check(ctx, message(c))
	if err != nil {
		return Answer{}, err
	}
	source := strings.ToLower(strings.TrimPrefix(r.GetSource().String(), "SOURCE_"))
	return Answer{
		Allowed: r.GetAllowed(), Degraded: source == "degraded", Source: source, Node: r.GetNode(), Delay: time.Duration(r.GetDelayNs()),
	}, nil
}

// close implements asker.
func (a *grpcAsker) close() { _ = a.conn.Close() } // what is under way is over either way

// An httpAsker asks over HTTP.
type httpAsker struct {
	url  string
	http *http.Client
}

// ask implements asker.
func (a *httpAsker) ask(ctx context.Context, c Check) (Answer, error) {
	body, err := json.Marshal(map[string]any{"key": c.Key, "limit": c.Limit, "cost": c.Cost, "durability": orDefault(c.Durability, "async"), "on_lost": orDefault(c.OnLost, "share")})
	if err != nil {
		return Answer{}, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, bytes.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := a.http.Do(r)
	if err != nil {
		return Answer{}, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20)) // to the end, so that the connection can be used again
	if err != nil {
		return Answer{}, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusTooManyRequests {
		return Answer{}, fmt.Errorf("HTTP status %d", res.StatusCode)
	}
	var answer struct {
		Allowed bool   `json:"allowed"`
		Source  string `json:"source"`
		Node    string `json:"node"`
		DelayMS int64  `json:"delay_ms"`
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return Answer{}, fmt.Errorf("HTTP status %d without a decision: %w", res.StatusCode, err)
	}
	return Answer{
		Allowed: answer.Allowed, Degraded: answer.Source == "degraded", Source: answer.Source, Node: answer.Node,
		Delay: time.Duration(answer.DelayMS) * time.Millisecond,
	}, nil
}

// close implements asker.
func (a *httpAsker) close() { a.http.CloseIdleConnections() }

// orDefault returns s, or the default where it is empty.
func orDefault(s, byDefault string) string {
	if s == "" {
		return byDefault
	}
	return s
}
