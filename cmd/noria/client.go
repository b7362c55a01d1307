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

	"github.com/noriahq/noria/transport/noriapb"
)

// A client is what a command asks a node with.
type client struct {
	node    string
	admin   string
	timeout time.Duration
	access  access
	out     output
}

// The flags of a client share their variables over all commands, so that NORIA_CLIENT_NODE has to be set just once.

// addNode defines --node.
func (c *client) addNode(s section) {
	s.add("node", "node", "gRPC address `HOST:PORT` of the node to ask", of(&c.node, "address", "127.0.0.1:8081", remote))
}

// addAdmin defines --admin.
func (c *client) addAdmin(s section) {
	s.add("admin", "admin", "admin address `HOST:PORT` of the node to ask", of(&c.admin, "address", "127.0.0.1:8082", remote))
}

// addCommon defines the flags of every client.
func (c *client) addCommon(s section) {
	s.add("timeout", "timeout", "most `TIME` to wait for the answer", of(&c.timeout, "duration", "5s", duration(time.Millisecond, time.Hour)))
	addAccess(s, &c.access)
	addOutput(s, &c.out)
}

// ask calls f with the API of c's node. An error tells whether it could be reached.
func (c *client) ask(ctx context.Context, f func(context.Context, noriapb.NoriaClient) error) error {
	conn, err := dial(c.node, c.access)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if err := f(ctx, noriapb.NewNoriaClient(conn)); err != nil {
		return unreachable(c.node, err)
	}
	return nil
}

// dial returns a connection to the node at addr, which is opened by the first call.
func dial(addr string, a access) (*grpc.ClientConn, error) {
	options, err := a.dialOptions()
	if err != nil {
		return nil, err
	}
	options = append(options,
		grpc.WithNoProxy(), // a node is nearby; a proxy of the environment is for elsewhere
		grpc.WithUserAgent("noria"))
	conn, err := grpc.NewClient("passthrough:///"+addr, options...)
	if err != nil {
		return nil, usagef("address %q: %w", addr, err)
	}
	return conn, nil
}

// page returns the request for path of c's admin address, and who is to make it.
func (c *client) page(ctx context.Context, path string) (*http.Client, *http.Request, error) {
	web, scheme, err := c.access.web(&http.Transport{Proxy: nil, DisableKeepAlives: true})
	if err != nil {
		return nil, nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+c.admin+path, nil)
	if err != nil {
		return nil, nil, usagef("--admin is %q: %w", c.admin, err)
	}
	return web, r, nil
}

// get reads the JSON at path of c's admin address into to.
func (c *client) get(ctx context.Context, path string, to any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	client, r, err := c.page(ctx, path)
	if err != nil {
		return err
	}
	res, err := client.Do(r)
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return unreachable(c.admin, err)
		}
		return unasked(c.admin, errors.Unwrap(err))
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err != nil {
		return &exit{status: statusUnreachable, err: fmt.Errorf("node at %s: %w", c.admin, err)}
	}
	if res.StatusCode != http.StatusOK {
		return c.refused(res, body)
	}
	if err := json.Unmarshal(body, to); err != nil {
		return &exit{status: statusUnreachable, err: fmt.Errorf("what listens at %s is not a node's admin port: %w", c.admin, err)}
	}
	return nil
}

// refused returns what an answer other than 200 says.
func (c *client) refused(res *http.Response, body []byte) error {
	var problem struct {
		Detail string `json:"detail"`
	}
	if res.StatusCode == http.StatusBadRequest && bytes.Contains(body, []byte("HTTPS")) {
		return usagef("node at %s speaks TLS: want --tls-ca FILE, or --secure DIR", c.admin)
	}
	e := &exit{status: statusUnreachable, err: fmt.Errorf("what listens at %s is not a node's admin port: %s", c.admin, res.Status)}
	if json.Unmarshal(body, &problem) == nil && problem.Detail != "" {
		e.err = fmt.Errorf("node at %s: %s", c.admin, problem.Detail)
		if res.StatusCode == http.StatusBadRequest || res.StatusCode == http.StatusUnauthorized {
			e.status = statusUsage
		}
		if res.StatusCode == http.StatusUnauthorized {
			e.err = fmt.Errorf("%w; give it by --token-file FILE or --secure DIR", e.err)
		}
	}
	return e
}
