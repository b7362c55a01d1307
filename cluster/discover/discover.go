// Package discover finds the gossip addresses of a cluster's nodes where no list of them is fixed: in DNS and in files.
//
// A Finder's Find is what cluster.Config.FindSeeds wants. It keeps nothing between two calls, so that names and files are
// read anew each time a node looks for others.
package discover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// Most is the most addresses that one Find returns. What is beyond is left out.
const Most = 1000

// wait is how long one source may take. A resolver that does not answer so does not keep a node from trying the others.
const wait = 5 * time.Second

// A Finder looks for nodes. It is made by New and safe for concurrent use.
type Finder struct {
	sources  []Source
	resolver *net.Resolver
}

// New returns what looks for nodes at sources. server, the HOST:PORT of a name server, is asked in place of the system's
// unless it is empty.
func New(server string, sources ...Source) *Finder {
	f := &Finder{sources: slices.Clone(sources), resolver: net.DefaultResolver}
	if server != "" {
		f.resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, server)
		}}
	}
	return f
}

// Find returns the addresses, IP:port or host:port, of the nodes that its sources name now, each once, in the order in
// which they were found. It waits some seconds at most. The error tells of each source that could not be read or names
// nobody; what the others name is returned beside it.
func (f *Finder) Find(ctx context.Context) ([]string, error) {
	var (
		addrs []string
		wrong sourceErrors
	)
	for _, s := range f.sources {
		found, err := f.from(ctx, s)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil && len(found) == 0 {
			err = errors.New("names nobody yet")
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", s, err))
		}
		addrs = union(addrs, found)
	}
	return addrs, wrong.asError()
}

// sourceErrors says what was wrong with each of several sources, in one line.
type sourceErrors []error

// Unwrap returns all of e.
func (e sourceErrors) Unwrap() []error { return e }

// Error implements error.
func (e sourceErrors) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// asError returns e, nil if nothing was wrong.
func (e sourceErrors) asError() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// from returns what one source names.
func (f *Finder) from(ctx context.Context, s Source) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	switch s.kind {
	case hosts:
		return f.hosts(ctx, s.name, s.port)
	case services:
		return f.services(ctx, s.name)
	case file:
		return f.file(ctx, s.name)
	default:
		return []string{net.JoinHostPort(s.name, s.port)}, nil
	}
}

// union returns a with those of b that it does not have, Most of them at most.
func union(a, b []string) []string {
	for _, addr := range b {
		if len(a) < Most && !slices.Contains(a, addr) {
			a = append(a, addr)
		}
	}
	return a
}
