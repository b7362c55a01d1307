package peer

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// sockets returns two ends of a TCP connection of which the first is direct.
func sockets(t *testing.T) (net.Conn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	s := direct(near)
	if _, ok := s.(*socket); !ok {
		t.Fatalf("direct returned a %T for TCP", s)
	}
	return s, far.(*net.TCPConn)
}

// Bytes arrive whole both ways, more than the kernel holds too, and the end is one.
func TestSocket(t *testing.T) {
	s, far := sockets(t)
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // 16 MiB
	echoed := make(chan error, 1)
	go func() {
		_, err := io.Copy(far, far)
		far.CloseWrite()
		echoed <- err
	}()
	written := make(chan error, 1)
	go func() {
		n, err := s.Write(want)
		if n != len(want) {
			t.Errorf("Write: %d bytes, want %d", n, len(want))
		}
		written <- errors.Join(err, s.(*socket).Conn.(*net.TCPConn).CloseWrite())
	}()
	got, err := io.ReadAll(s)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("read back %d bytes, %v; want the %d that were written", len(got), err, len(want))
	}
	if err := errors.Join(<-written, <-echoed); err != nil {
		t.Error(err)
	}
	if n, err := s.Read(nil); n != 0 || err != nil {
		t.Errorf("Read into nothing: %d, %v", n, err)
	}
}

// Waiting ends by deadline, by Close and by a reset, with the errors that TCP has for them.
func TestSocketErrors(t *testing.T) {
	s, far := sockets(t)
	s.SetReadDeadline(time.Now().Add(-time.Second))
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read after its deadline: %v, want os.ErrDeadlineExceeded", err)
	}
	s.SetReadDeadline(time.Time{})
	far.SetLinger(0)
	far.Close()
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("Read after a reset: %v, want ECONNRESET", err)
	}
	if _, err := s.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("Write after a reset: %v, want EPIPE", err)
	}
	reading := make(chan error, 1)
	s, _ = sockets(t)
	go func() {
		_, err := s.Read(make([]byte, 1))
		reading <- err
	}()
	s.Close()
	if err := <-reading; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read under Close: %v, want net.ErrClosed", err)
	}
	if _, err := s.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write after Close: %v, want net.ErrClosed", err)
	}
}
