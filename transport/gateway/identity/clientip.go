package identity

import (
	"net/netip"
	"strings"
)

// maxHops is how many entries of X-Forwarded-For are looked at.
const maxHops = 32

// proxies say which addresses are believed, and how much of an address is one client.
type proxies struct {
	networks []netip.Prefix
	bits     int // of IPv6
}

// newProxies returns proxies in networks.
func newProxies(networks []netip.Prefix, bits int) proxies {
	p := proxies{bits: bits}
	for _, n := range networks {
		if a := n.Addr(); a.Is4In6() && n.Bits() >= 96 { // addresses are compared as IPv4 ones
			n = netip.PrefixFrom(a.Unmap(), n.Bits()-96)
		}
		p.networks = append(p.networks, n)
	}
	return p
}

// trusts says whether the host at a is believed.
func (p proxies) trusts(a netip.Addr) bool {
	for _, n := range p.networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// client returns the address of the client of a request that came from peer with the lines of X-Forwarded-For.
func (p proxies) client(peer netip.Addr, lines []string) netip.Addr {
	looked := 0
	for i := len(lines) - 1; i >= 0; i-- {
		for rest, more := lines[i], true; more; looked++ {
			if looked == maxHops || !p.trusts(peer) {
				return peer
			}
			var entry string
			if comma := strings.LastIndexByte(rest, ','); comma >= 0 {
				rest, entry = rest[:comma], rest[comma+1:]
			} else {
				entry, more = rest, false
			}
			a := hop(strings.Trim(entry, " \t"))
			if !a.IsValid() {
				return peer
			}
			peer = a
		}
	}
	return peer
}

// network returns the part of a that is one client.
func (p proxies) network(a netip.Addr) netip.Addr {
	if !a.Is6() {
		return a
	}
	n, err := a.Prefix(p.bits)
	if err != nil {
		return a // bits are 1 to 128
	}
	return n.Addr()
}

// peer returns the address in r.RemoteAddr, the zero Addr if there is none, as with a Unix socket.
func peer(remote string) netip.Addr {
	return hop(remote)
}

// hop reads an address as proxies write it: 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1] or [2001:db8::1]:80. It is
// the zero Addr for anything else. Zones are dropped: they mean something to one host only.
func hop(s string) netip.Addr {
	const most = 64 // longer than any
	if len(s) > most {
		return netip.Addr{}
	}
	host := s
	if inner, ok := strings.CutPrefix(s, "["); ok {
		var after string
		if host, after, ok = strings.Cut(inner, "]"); !ok || !strings.Contains(host, ":") || after != "" && !isPort(after) {
			return netip.Addr{}
		}
	} else if colon := strings.IndexByte(s, ':'); colon >= 0 && strings.IndexByte(s[colon+1:], ':') < 0 {
		if host = s[:colon]; !isPort(s[colon:]) {
			return netip.Addr{}
		}
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return a.WithZone("").Unmap()
}

// isPort says whether s is a colon and a port.
func isPort(s string) bool {
	if len(s) < 2 || len(s) > 6 || s[0] != ':' {
		return false
	}
	for _, c := range []byte(s[1:]) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
