package main

import (
	"net"
	"net/http"
	"net/netip"

	"github.com/noriahq/noria/transport/bearer"
	"github.com/noriahq/noria/transport/console"
)

// newConsole returns the console of s's node.
func (s *server) newConsole() (*console.Console, error) {
	return console.New(console.Config{Node: s.node, Admin: s.isAdmin, Logger: s.log.With("node", s.settings.name)})
}

// isAdmin says whether who asks may see keys: who shows an admin's token or, where there are none, whoever is on this machine.
func (s *server) isAdmin(r *http.Request) bool {
	if s.settings.guards.admin.tokens != "" {
		return bearer.Admin(r)
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && from.Addr().Unmap().IsLoopback() && isHere(r.Host)
}

// isHere says whether host names this machine by an address or as localhost: another name may be one that a page made a browser
// take for this machine.
func isHere(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
