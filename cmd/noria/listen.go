package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"syscall"
)

// listen opens addr for what the flag --name sets.
func listen(name, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, listenError(name, addr, err)
	}
	return l, nil
}

// probe says whether addr could be opened, over UDP too if packets. It is for addresses that others open later, whose
// errors do not tell the flag.
func probe(name, addr string, packets bool) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return listenError(name, addr, err)
	}
	defer l.Close()
	if !packets {
		return nil
	}
	u, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		if _, port, _ := net.SplitHostPort(addr); port == "0" {
			return nil // free for TCP and not for UDP: whoever opens it looks for another
		}
		return listenError(name, addr, err)
	}
	return u.Close()
}

// errTaken is wrapped by the error of a port that something else listens on.
var errTaken = errors.New("in use")

// listenError says why addr, to which the flag --name is set, cannot be opened, and what to do.
func listenError(name, addr string, err error) error {
	_, port, _ := net.SplitHostPort(addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return usagef("port %s is %w: --%s is %s; choose another with --%[3]s HOST:PORT, where port 0 picks a free one", port, errTaken, name, addr)
	case errors.Is(err, syscall.EACCES):
		return usagef("port %s is not allowed for this user: --%s is %s; choose one above 1023", port, name, addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return usagef("%s is not an address of this machine: choose another with --%s HOST:PORT", addr, name)
	}
	return usagef("--%s is %s: %w", name, addr, err)
}

// each calls f with the name of every flag and its address.
func (p ports) each(f func(name, addr string)) {
	f("http", p.http)
	f("api", p.api)
	f("grpc", p.grpc)
	f("admin", p.admin)
	f("peer", p.peer)
	f("gossip", p.gossip)
}

// attrs returns p for a log line, without what is not open.
func (p ports) attrs() []any {
	var attrs []any
	p.each(func(name, addr string) {
		if addr != "" {
			attrs = append(attrs, slog.String(name, addr))
		}
	})
	return attrs
}

// beyond returns those of p that other machines may reach.
func (p ports) beyond() ports {
	open := func(addr string) string {
		if addr == "" || isLoopback(addr) {
			return ""
		}
		return addr
	}
	return ports{
		http: open(p.http), api: open(p.api), grpc: open(p.grpc),
		admin: open(p.admin), peer: open(p.peer), gossip: open(p.gossip),
	}
}

// isLoopback says whether the host of addr is this machine.
func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// isUnspecified says whether the host of addr is all interfaces.
func isUnspecified(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsUnspecified()
}

// check completes s and says what cannot work together.
func (s *settings) check() error {
	if err := errors.Join(s.tls.check(), s.drain.check()); err != nil {
		return err
	}
	if s.advertise.peer == "" && s.advertise.gossip != "" {
		host, _, err := net.SplitHostPort(s.advertise.gossip)
		if err != nil {
			return fmt.Errorf("--advertise-gossip is %q: %w", s.advertise.gossip, err)
		}
		s.advertise.peer = net.JoinHostPort(host, "0") // the port of --peer
	}
	if isUnspecified(s.listen.peer) && s.advertise.peer == "" {
		return usagef("--peer is %s, at which other nodes cannot reach this one: say where they can with --advertise-peer HOST", s.listen.peer)
	}
	return s.guards.check(s.listen)
}
