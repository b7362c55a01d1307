package flood

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// HTTP asks POST /v1/check of the API over HTTP/1.1.
func HTTP(ctx context.Context, l Load) Tally {
	var due chan struct{}
	if l.Rate > 0 {
		due = make(chan struct{}) // without a buffer: nobody is free, nothing is sent
	}
	return l.run(ctx, func(ctx context.Context, id int, c *counts) {
		if id == 0 && due != nil {
			go pace(ctx, l.Rate, due, c)
		}
		for ctx.Err() == nil {
			l.httpConn(ctx, id, due, c)
		}
	})
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

// httpConn asks on one connection until ctx ends or it breaks.
func (l Load) httpConn(ctx context.Context, id int, due <-chan struct{}, c *counts) {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", l.Addr)
	if err != nil {
		if ctx.Err() == nil {
			c.broke(err)
			time.Sleep(100 * time.Millisecond) // as a client would
		}
		return
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	in, request := bufio.NewReaderSize(conn, 1<<10), l.httpRequest(id)
	for ctx.Err() == nil {
		if due != nil {
			select {
			case <-due:
			case <-ctx.Done():
				return
			}
		} else {
			c.offered.Add(1)
		}
		began := time.Now()
		_ = conn.SetDeadline(began.Add(l.Wait))
		if _, err = conn.Write(request); err == nil {
			var status int
			if status, err = readAnswer(in); err == nil {
				o := broken
				switch status {
				case 200, 429:
					o = good
				case 503:
					o = shed
				}
				c.add(o, false)
				continue
			}
		}
		var slow net.Error
		switch {
		case ctx.Err() != nil:
		case asNet(err, &slow) && slow.Timeout():
			c.late.Add(1)
		default:
			c.broke(err)
		}
		return
	}
}

// httpRequest returns a request.
func (l Load) httpRequest(id int) []byte {
	var body strings.Builder
	body.WriteString(`{"checks":[`)
	for i := range max(l.Items, 1) {
		if i > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"key":"client %d %d","limit":"1000000/s"}`, id%1000, i)
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
