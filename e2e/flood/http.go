package flood

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// HTTP asks POST /v1/check of the API over HTTP/1.1, on connections that it opens first and closes at the end.
func HTTP(ctx context.Context, l Load) Tally {
	c, err := Open(ctx, l)
	if err != nil {
		var failed counts
		failed.broke(err)
		return failed.tally(l.For)
	}
	defer c.Close()
	return c.Ask(ctx, l)
}

// A Crowd is connections over HTTP/1.1 to one node, open from Open to Close.
type Crowd struct {
	addr     string
	requests [][]byte
	clients  []*client
}

// A client is one connection, which is opened again where it broke.
type client struct {
	addr string
	conn net.Conn // nil when it has to be opened
	in   *bufio.Reader
	next int // index of its next request
}

// Open opens l.Conns connections to l.Addr. All who ask on them ask the same requests, of l.Items checks each, so that a few
// of them ask for as many keys as all do.
func Open(ctx context.Context, l Load) (*Crowd, error) {
	c := &Crowd{addr: l.Addr, requests: make([][]byte, min(l.Conns, 1000))}
	for i := range c.requests {
		c.requests[i] = l.httpRequest(i)
	}
	for i := range l.Conns {
		one := &client{addr: l.Addr, next: i}
		if err := one.open(ctx); err != nil {
			c.Close()
			return nil, fmt.Errorf("connection %d of %d: %w", i, l.Conns, err)
		}
		c.clients = append(c.clients, one)
	}
	return c, nil
}

// Close closes the connections.
func (c *Crowd) Close() {
	for _, one := range c.clients {
		one.close()
	}
}

// Ask asks on the first l.Conns of c's connections for l.For, and returns when all that was asked by then is answered or given up.
// Only one call of c's may run at a time.
func (c *Crowd) Ask(ctx context.Context, l Load) Tally {
	ctx, cancel := context.WithTimeout(ctx, l.For)
	defer cancel()
	var (
		tell counts
		all  sync.WaitGroup
		due  chan struct{}
	)
	began := time.Now()
	if l.Rate > 0 {
		due = make(chan struct{}) // without a buffer: nobody is free, nothing is sent
		all.Go(func() { pace(ctx, l.Rate, due, &tell) })
	}
	for _, one := range c.clients[:min(l.Conns, len(c.clients))] {
		all.Go(func() { one.run(ctx, c.requests, l.Wait, due, &tell) })
	}
	all.Wait()
	return tell.tally(time.Since(began))
}

// pace offers rate requests a second to whoever is free.
func pace(ctx context.Context, rate int, due chan<- struct{}, c *counts) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	began, sent := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for want := int(time.Since(began).Seconds() * float64(rate)); sent < want; sent++ {
			c.offered.Add(1)
			select {
			case due <- struct{}{}:
			default:
				c.unsent.Add(1)
			}
		}
	}
}

// run asks one of requests after the other until ctx ends: whenever it is due, or when the one before was answered.
func (o *client) run(ctx context.Context, requests [][]byte, wait time.Duration, due <-chan struct{}, c *counts) {
	for ctx.Err() == nil {
		if o.conn == nil {
			if err := o.open(ctx); err != nil {
				if ctx.Err() == nil {
					c.broke(err)
					time.Sleep(100 * time.Millisecond) // as a client would
				}
				continue
			}
		}
		if due != nil {
			select {
			case <-due:
			case <-ctx.Done():
				return
			}
		} else {
			c.offered.Add(1)
		}
		o.next += 31 // not in step with its neighbours
		o.ask(requests[o.next%len(requests)], wait, c)
	}
}

// ask asks one request and counts what comes of it.
func (o *client) ask(request []byte, wait time.Duration, c *counts) {
	status, err := 0, o.conn.SetDeadline(time.Now().Add(wait))
	if err == nil {
		_, err = o.conn.Write(request)
	}
	if err == nil {
		status, err = readAnswer(o.in)
	}
	var slow net.Error
	switch {
	case err == nil && (status == 200 || status == 429):
		c.add(good, false)
	case err == nil && status == 503:
		c.add(shed, false)
	case err == nil:
		c.broke(fmt.Errorf("status %d", status))
	case errors.As(err, &slow) && slow.Timeout():
		c.late.Add(1)
		o.close()
	default:
		c.broke(err)
		o.close()
	}
}

// open opens the connection.
func (o *client) open(ctx context.Context) error {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", o.addr)
	if err != nil {
		return err
	}
	o.conn, o.in = conn, bufio.NewReaderSize(conn, 1<<10)
	return nil
}

// close closes the connection, if there is one.
func (o *client) close() {
	if o.conn != nil {
		_ = o.conn.Close()
		o.conn = nil
	}
}

// httpRequest returns the request with number i.
func (l Load) httpRequest(i int) []byte {
	var body strings.Builder
	body.WriteString(`{"checks":[`)
	for k := range max(l.Items, 1) {
		if k > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"key":"client %d %d","limit":"1000000/s"}`, i, k)
	}
	body.WriteString("]}")
	return fmt.Appendf(nil, "POST /v1/check HTTP/1.1\r\nHost: noria\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", body.Len(), body.String())
}

// readAnswer reads an answer with a Content-Length and returns its status.
func readAnswer(in *bufio.Reader) (status int, err error) {
	length := 0
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		switch {
		case first:
			if len(line) < 12 {
				return 0, fmt.Errorf("status line %q", line)
			}
			if status, err = strconv.Atoi(string(line[9:12])); err != nil {
				return 0, err
			}
		case len(bytes.TrimSpace(line)) == 0:
			_, err = in.Discard(length)
			return status, err
		case bytes.HasPrefix(line, []byte("Content-Length: ")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[16:]))); err != nil {
				return 0, err
			}
		}
	}
}
