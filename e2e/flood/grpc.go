package flood

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"

	"github.com/noriahq/noria/transport/noriapb"
)

// GRPC calls noria.v1.Noria/Check, or CheckAll where there are several items in a request.
func GRPC(ctx context.Context, l Load) Tally {
	return l.run(ctx, func(ctx context.Context, id int, c *counts) {
		for ctx.Err() == nil {
			if err := l.grpcConn(ctx, id, c); err != nil && ctx.Err() == nil {
				c.broke(err)
				time.Sleep(100 * time.Millisecond) // as a client would
			}
		}
	})
}

// A call is one that was not answered yet.
type call struct {
	id    uint32
	began time.Time
}

// An h2 is an HTTP/2 connection that calls one method.
type h2 struct {
	load    Load
	counts  *counts
	headers []byte // encoded, with no state
	bodies  [][]byte
	conn    net.Conn
	out     *bufio.Writer
	framer  *http2.Framer
	decoder *hpack.Decoder
	status  string

	mu     sync.Mutex
	window int64 // bytes of DATA that the node takes
	next   uint32
	calls  map[uint32]time.Time
	order  []call // oldest first, answered ones among them
	free   chan struct{}
}

// grpcConn calls on one connection until ctx ends or it breaks.
func (l Load) grpcConn(ctx context.Context, id int, c *counts) error {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", l.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	h := &h2{
		load: l, counts: c, conn: conn, out: bufio.NewWriterSize(conn, 64<<10), window: 65535, next: 1,
		calls: map[uint32]time.Time{}, free: make(chan struct{}, 1),
	}
	h.framer = http2.NewFramer(h.out, bufio.NewReaderSize(conn, 64<<10))
	h.decoder = hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		if f.Name == "grpc-status" {
			h.status = f.Value
		}
	})
	h.encode(id)
	if err := h.open(); err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- h.read() }()
	for {
		if err := h.send(ctx, failed); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// encode encodes what is sent again and again.
func (h *h2) encode(id int) {
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	path := noriapb.Noria_Check_FullMethodName
	if h.load.Items > 1 {
		path = noriapb.Noria_CheckAll_FullMethodName
	}
	for _, f := range [][2]string{
		{":method", "POST"},
		{":scheme", "http"},
		{":path", path},
		{":authority", "noria"},
		{"content-type", "application/grpc"},
		{"te", "trailers"},
		{"grpc-timeout", fmt.Sprintf("%dm", h.load.Wait.Milliseconds())},
	} {
		_ = e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1], Sensitive: true}) // to a buffer; never indexed, so without state
	}
	h.headers = block.Bytes()
	one := func(key string) *noriapb.CheckRequest { return &noriapb.CheckRequest{Key: key, Limit: "1000000/s"} }
	for i := range 64 {
		var m proto.Message = one(fmt.Sprintf("client %d %d", id, i))
		if h.load.Items > 1 {
			all := &noriapb.CheckAllRequest{}
			for k := range h.load.Items {
				all.Checks = append(all.Checks, one(fmt.Sprintf("client %d %d %d", id, i, k)))
			}
			m = all
		}
		b, err := proto.Marshal(m)
		if err != nil {
			panic(err) // strings that are valid
		}
		body := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(b)))
		h.bodies = append(h.bodies, append(body, b...))
	}
}

// open says what every connection says first.
func (h *h2) open() error {
	if _, err := h.out.WriteString(http2.ClientPreface); err != nil {
		return err
	}
	return errors.Join(h.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}),
		h.framer.WriteWindowUpdate(0, 1<<30), h.out.Flush())
}

// send sends what is due until ctx ends or the connection has failed.
func (h *h2) send(ctx context.Context, failed <-chan error) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	began, sent := time.Now(), 0
	for {
		free := h.free
		if h.load.Rate > 0 {
			free = nil
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-ticker.C:
		case <-free:
		}
		h.mu.Lock()
		h.giveUp()
		if h.load.Rate == 0 {
			for h.ask() {
				h.counts.offered.Add(1)
			}
		} else {
			for want := int(time.Since(began).Seconds() * float64(h.load.Rate) / float64(h.load.Conns)); sent < want; sent++ {
				h.counts.offered.Add(1)
				if !h.ask() {
					h.counts.unsent.Add(1)
				}
			}
		}
		_ = h.conn.SetWriteDeadline(time.Now().Add(30 * time.Second))
		err := h.out.Flush() // blocks while the node does not read, and h.read with it when it has something to write
		h.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// ask writes a call, unless there are as many as there may be.
func (h *h2) ask() bool {
	body := h.bodies[int(h.next/2)%len(h.bodies)]
	if len(h.calls) >= h.load.Each || h.window < int64(len(body)) {
		return false
	}
	id := h.next
	h.next += 2
	h.window -= int64(len(body))
	_ = h.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: h.headers, EndHeaders: true}) // Flush tells
	_ = h.framer.WriteData(id, true, body)
	now := time.Now()
	h.calls[id] = now
	h.order = append(h.order, call{id, now})
	return true
}

// giveUp cancels calls for which nobody waits any more.
func (h *h2) giveUp() {
	for len(h.order) > 0 {
		c := h.order[0]
		_, open := h.calls[c.id]
		if open && time.Since(c.began) < h.load.Wait {
			return
		}
		if open {
			h.counts.late.Add(1)
			delete(h.calls, c.id)
			_ = h.framer.WriteRSTStream(c.id, http2.ErrCodeCancel)
		}
		h.order = h.order[1:]
	}
}

// read reads answers until the connection breaks.
func (h *h2) read() error {
	for {
		f, err := h.framer.ReadFrame()
		if err != nil {
			return err
		}
		switch f := f.(type) {
		case *http2.HeadersFrame:
			h.status = ""
			if _, err := h.decoder.Write(f.HeaderBlockFragment()); err != nil {
				return err
			}
			if f.StreamEnded() {
				h.answered(f.StreamID)
			}
		case *http2.WindowUpdateFrame:
			if f.StreamID == 0 {
				h.mu.Lock()
				h.window += int64(f.Increment)
				h.mu.Unlock()
			}
		case *http2.SettingsFrame:
			if !f.IsAck() {
				h.locked(func() error { return h.framer.WriteSettingsAck() })
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				h.locked(func() error { return h.framer.WritePing(true, f.Data) })
			}
		case *http2.GoAwayFrame:
			return fmt.Errorf("go away: %v %s", f.ErrCode, f.DebugData())
		}
	}
}

// locked writes something at once; what goes wrong is seen by who reads or sends.
func (h *h2) locked(write func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_ = errors.Join(write(), h.out.Flush())
}

// answered counts the answer to a call.
func (h *h2) answered(id uint32) {
	h.mu.Lock()
	began, open := h.calls[id]
	delete(h.calls, id)
	h.mu.Unlock()
	if !open {
		return
	}
	switch h.status {
	case "0":
		h.counts.add(good, time.Since(began) > h.load.Wait)
	case "8":
		h.counts.add(shed, time.Since(began) > h.load.Wait)
	case "4":
		h.counts.late.Add(1)
	default:
		h.counts.broke(fmt.Errorf("grpc-status %q", h.status))
	}
	select {
	case h.free <- struct{}{}:
	default:
	}
}
