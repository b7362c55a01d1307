package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/noriahq/noria/transport/api"
)

// A door is one port and what answers there.
type door struct {
	name     string // of its flag
	listener net.Listener
	serve    func(net.Listener) error  // until stop
	stop     func(ctx context.Context) // ends connections in their time, and at once when ctx ends
}

// httpDoor returns a door that s answers at.
func httpDoor(s *http.Server) door {
	var f fresh
	s.ConnState = f.note
	s.RegisterOnShutdown(func() { time.AfterFunc(freshWait, f.close) })
	return door{
		serve: func(l net.Listener) error {
			serve := s.Serve
			if s.TLSConfig != nil {
				serve = func(l net.Listener) error { return s.ServeTLS(l, "", "") }
			}
			if err := serve(l); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		},
		stop: func(ctx context.Context) {
			if s.Shutdown(ctx) != nil {
				_ = s.Close() // in its time it was not
			}
		},
	}
}

// freshWait is how long a graceful stop waits for the first request on a connection.
const freshWait = 250 * time.Millisecond

// fresh are the connections of a server on which nothing was asked yet, such as those that clients open in advance.
// Shutdown by itself waits five seconds for each.
type fresh struct {
	mu    sync.Mutex
	conns map[net.Conn]bool // guarded by mu
}

// note is a server's ConnState.
func (f *fresh) note(c net.Conn, state http.ConnState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if state != http.StateNew {
		delete(f.conns, c)
		return
	}
	if f.conns == nil {
		f.conns = map[net.Conn]bool{}
	}
	f.conns[c] = true
}

// close closes those that are there now.
func (f *fresh) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		_ = c.Close()
	}
	clear(f.conns)
}

// grpcDoor returns a door that s answers at.
func grpcDoor(s *grpc.Server) door {
	return door{
		serve: func(l net.Listener) error {
			if err := s.Serve(l); !errors.Is(err, grpc.ErrServerStopped) {
				return err
			}
			return nil
		},
		stop: func(ctx context.Context) { api.Shutdown(ctx, s) },
	}
}
