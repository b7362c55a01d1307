package e2e

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	ggzip "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"

	"github.com/noriahq/noria/e2e/harness"
	"github.com/noriahq/noria/transport/noriapb"
)

// guarded starts a node with a gateway.
func guarded(t *testing.T, args ...string) *harness.Node {
	t.Helper()
	node := harness.Serve(t, "a", nil, nil, append([]string{"--upstream", "http://127.0.0.1:9"}, args...)...)
	node.WaitReady()
	return node
}

// answers fails the test unless node decides on a check.
func answers(t *testing.T, node *harness.Node) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		err := check(t.Context(), node)
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// check asks node one check.
func check(ctx context.Context, node *harness.Node) error {
	body := strings.NewReader(`{"key":"k","limit":"1000000/s"}`)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+node.Addr.API+"/v1/check", body)
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", answer.Status)
	}
	return nil
}

// metric returns the sum of all numbers that node's metrics have whose line begins with name.
func metric(t *testing.T, node *harness.Node, name string) (sum float64) {
	t.Helper()
	answer, err := http.Get("http://" + node.Addr.Admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if rest, is := strings.CutPrefix(lines.Text(), name); is {
			n, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += n
		}
	}
	return sum
}

// settles waits until node has about as many goroutines as before.
func settles(t *testing.T, node *harness.Node, before float64) {
	t.Helper()
	now := 0.0
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if now = metric(t, node, "go_goroutines "); now <= before+25 {
			return
		}
	}
	t.Errorf("%v goroutines, %v before: want as many again", now, before)
}

// dialed returns a connection to addr.
func dialed(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Who says nothing, or begins and does not go on, is not waited for: at every port the connection is closed in time.
func TestSlowClients(t *testing.T) {
	node := guarded(t)
	before := metric(t, node, "go_goroutines ")
	ports := map[string]string{
		"api": node.Addr.API, "grpc": node.Addr.GRPC, "admin": node.Addr.Admin, "http": node.Addr.HTTP, "peer": node.Addr.Peer, "gossip": node.Addr.Gossip,
	}
	begins := []string{"P", "POST /v1/check HTTP/1.1\r\nHost: a\r\nX-", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00"}
	var all sync.WaitGroup
	for name, addr := range ports {
		for _, begin := range begins {
			c := dialed(t, addr)
			all.Go(func() {
				_, _ = io.WriteString(c, begin) // it may be closed already
				_ = c.SetReadDeadline(time.Now().Add(40 * time.Second))
				began := time.Now()
				if _, err := io.Copy(io.Discard, c); isTimeout(err) {
					t.Errorf("%s: a client that sends %q is still waited for after %v", name, begin, time.Since(began))
				}
			})
		}
	}
	all.Wait()
	answers(t, node)
	settles(t, node, before)
}

func isTimeout(err error) bool {
	n, is := err.(net.Error) //nolint:errorlint // as io.Copy returns it
	return is && n.Timeout()
}

// Connections beyond --max-conns, and those of one client beyond --max-conns-per-client, are closed at once and counted; who was
// let in is answered.
func TestManyConnections(t *testing.T) {
	for _, flag := range []string{"--max-conns", "--max-conns-per-client"} {
		t.Run(flag, func(t *testing.T) {
			node := guarded(t, flag, "20")
			for name, addr := range map[string]string{"api": node.Addr.API, "grpc": node.Addr.GRPC, "http": node.Addr.HTTP} {
				first := dialed(t, addr)
				var open, closed []net.Conn
				for range 100 {
					open = append(open, dialed(t, addr))
				}
				for _, c := range open {
					_ = c.SetReadDeadline(time.Now().Add(2 * time.Second / 100))
					if _, err := io.ReadFull(c, make([]byte, 1)); err != nil && !isTimeout(err) {
						closed = append(closed, c)
					}
				}
				if refused := metric(t, node, `noria_connections_refused_total{port="`+name+`"`); len(closed) < 75 || refused != 81 {
					t.Errorf("%s: %d of 100 connections closed at once, %v counted; want 81, where 20 may be open", name, len(closed), refused)
				}
				if name == "api" {
					_, _ = io.WriteString(first, "GET /v1/status HTTP/1.1\r\nHost: a\r\n\r\n")
					_ = first.SetReadDeadline(time.Now().Add(10 * time.Second))
					if line, err := bufio.NewReader(first).ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 200") {
						t.Errorf("who was let in is answered %q, %v; want 200", line, err)
					}
				}
				for _, c := range append(open, first) {
					_ = c.Close()
				}
			}
			answers(t, node)
		})
	}
}

// Streams that are opened and reset at once, as fast as can be, on --grpc and --http: the node closes the connection or lives
// with it, and has nothing left of it.
func TestRapidReset(t *testing.T) {
	node := guarded(t)
	before := metric(t, node, "go_goroutines ")
	for _, addr := range []string{node.Addr.GRPC, node.Addr.HTTP} {
		c := dialed(t, addr)
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		go func() { _, _ = io.Copy(io.Discard, c) }()
		out := bufio.NewWriterSize(c, 64<<10)
		framer := http2.NewFramer(out, nil)
		_, _ = out.WriteString(http2.ClientPreface)
		_ = framer.WriteSettings()
		var block bytes.Buffer
		e := hpack.NewEncoder(&block)
		for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", noriapb.Noria_Check_FullMethodName}, {":authority", "a"}, {"content-type", "application/grpc"}, {"te", "trailers"}} {
			_ = e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1], Sensitive: true})
		}
		var err error
		for id := uint32(1); id < 40_000 && err == nil; id += 2 {
			_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true})
			err = framer.WriteRSTStream(id, http2.ErrCodeCancel)
		}
		if isTimeout(err) {
			t.Errorf("%s: 20,000 streams opened and reset: the node takes no more, and does not say so", addr)
		}
		_ = c.Close()
	}
	answers(t, node)
	settles(t, node, before)
}

// Headers, messages and bodies that are too large, compressed ones too, end with an answer that says so.
func TestTooLarge(t *testing.T) {
	node := guarded(t)
	huge := strings.Repeat("x", 1<<20)
	for name, addr := range map[string]string{"api": node.Addr.API, "admin": node.Addr.Admin, "http": node.Addr.HTTP} {
		c := dialed(t, addr)
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		go func() { _, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nX-Huge: "+huge+"\r\n\r\n") }()
		if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 431") {
			t.Errorf("%s: a header of a megabyte is answered %q, %v; want 431", name, line, err)
		}
	}
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = io.Copy(z, io.LimitReader(zeros{}, 100<<20))
	_ = z.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+node.Addr.API+"/v1/check", &bomb)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Encoding", "gzip")
	answer, err := http.DefaultClient.Do(r)
	if err != nil || answer.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("a compressed body: %v, %v; want 415", answer, err)
	} else {
		_ = answer.Body.Close()
	}
	conn, err := grpc.NewClient("passthrough:///"+node.Addr.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, options := range [][]grpc.CallOption{nil, {grpc.UseCompressor(ggzip.Name)}} {
		_, err := noriapb.NewNoriaClient(conn).Check(t.Context(), &noriapb.CheckRequest{Key: strings.Repeat("k", 64<<20), Limit: "1/s"}, options...)
		if code := status.Code(err); code != codes.ResourceExhausted && code != codes.Unimplemented {
			t.Errorf("a call of 64 MiB, compressed: %v: %v; want RESOURCE_EXHAUSTED", len(options) > 0, err)
		}
	}
	if rss := metric(t, node, "process_resident_memory_bytes "); rss > 256<<20 {
		t.Errorf("%v bytes in memory after messages that are too large, want less than 256 MiB", rss)
	}
	answers(t, node)
}

// zeros has no end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
