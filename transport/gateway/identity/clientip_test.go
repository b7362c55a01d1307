package identity_test

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/noriahq/noria/transport/gateway/identity"
)

// inside are the proxies that tests trust.
func inside() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::ffff:172.16.0.0/108"), netip.MustParsePrefix("fd00::/8"),
	}
}

// The client is the first address from the right that is no trusted proxy.
func TestClientIP(t *testing.T) {
	f := newFinder(t, identity.Config{TrustedProxies: inside()})
	for _, c := range []struct {
		remote string
		lines  []string // of X-Forwarded-For
		want   string   // "" for the zero Addr
	}{
		{"203.0.113.5:1", nil, "203.0.113.5"},
		{"203.0.113.5:1", []string{"6.6.6.6"}, "203.0.113.5"}, // not from a proxy: no word is believed
		{"[::ffff:203.0.113.5]:1", []string{"6.6.6.6"}, "203.0.113.5"},
		{"[2001:db8:1:2:3::4]:5", nil, "2001:db8:1:2::"},
		{"[fe80::1%eth0]:5", nil, "fe80::"},
		{"10.0.0.1:1", nil, "10.0.0.1"},
		{"10.0.0.1:1", []string{"203.0.113.5"}, "203.0.113.5"},
		{"[::ffff:10.0.0.1]:1", []string{"203.0.113.5"}, "203.0.113.5"},
		{"172.16.0.1:1", []string{"203.0.113.5"}, "203.0.113.5"}, // an IPv4 network written as IPv6
		{"172.32.0.1:1", []string{"203.0.113.5"}, "172.32.0.1"},
		{"[fd00::1]:1", []string{"203.0.113.5"}, "203.0.113.5"},
		{"[fd00::1%eth0]:1", []string{"203.0.113.5"}, "203.0.113.5"},
		{"10.0.0.1:1", []string{"6.6.6.6, 203.0.113.5"}, "203.0.113.5"},
		{"10.0.0.1:1", []string{"6.6.6.6,203.0.113.5,10.0.0.2"}, "203.0.113.5"},
		{"10.0.0.1:1", []string{"6.6.6.6", "203.0.113.5", "10.0.0.2"}, "203.0.113.5"}, // several lines are one list
		{"10.0.0.1:1", []string{"6.6.6.6, 203.0.113.5", "10.0.0.2 , 10.0.0.3"}, "203.0.113.5"},
		{"10.0.0.1:1", []string{"10.0.0.9, 10.0.0.8"}, "10.0.0.9"}, // a client inside
		{"10.0.0.1:1", []string{" \t203.0.113.5\t "}, "203.0.113.5"},
		{"10.0.0.1:1", []string{"203.0.113.5:4711"}, "203.0.113.5"},
		{"10.0.0.1:1", []string{"[2001:db8:1:2:3::4]:5"}, "2001:db8:1:2::"},
		{"10.0.0.1:1", []string{"[2001:db8:1:2:3::4]"}, "2001:db8:1:2::"},
		{"10.0.0.1:1", []string{"2001:db8:1:2:3::4"}, "2001:db8:1:2::"},
		{"10.0.0.1:1", []string{"fe80::1%eth0"}, "fe80::"},
		{"10.0.0.1:1", []string{"::ffff:203.0.113.5"}, "203.0.113.5"},
		// What is no address ends the walk where it stands.
		{"10.0.0.1:1", []string{""}, "10.0.0.1"},
		{"10.0.0.1:1", []string{"unknown"}, "10.0.0.1"},
		{"10.0.0.1:1", []string{"6.6.6.6, unknown, 10.0.0.2"}, "10.0.0.2"},
		{"10.0.0.1:1", []string{"6.6.6.6, , 10.0.0.2"}, "10.0.0.2"},
		{"10.0.0.1:1", []string{"6.6.6.6,"}, "10.0.0.1"},
		{"10.0.0.1:1", []string{"6.6.6.6", ""}, "10.0.0.1"},
		{"10.0.0.1:1", []string{"203.0.113.5:"}, "10.0.0.1"},
		{"10.0.0.1:1", []string{"203.0.113.5:x"}, "10.0.0.1"},
		{"10.0.0.1:1", []string{"203.0.113.5:123456"}, "10.0.0.1"},
		{"10.0.0.1:1", []string{"[203.0.113.5]:80"}, "10.0.0.1"},
		{"10.0.0.1:1", []string{"[2001:db8::1"}, "10.0.0.1"},
		{"10.0.0.1:1", []string{"[2001:db8::1]80"}, "10.0.0.1"},
		{"10.0.0.1:1", []string{"203.0.113.005"}, "10.0.0.1"},
		{"10.0.0.1:1", []string{"203.0.113.5 6.6.6.6"}, "10.0.0.1"},
		{"10.0.0.1:1", []string{`"203.0.113.5"`}, "10.0.0.1"},
		{"10.0.0.1:1", []string{strings.Repeat("1", 1000)}, "10.0.0.1"},
		// No more entries are looked at than anybody has proxies.
		{"10.0.0.1:1", []string{"6.6.6.6" + strings.Repeat(",10.0.0.2", 31)}, "6.6.6.6"},
		{"10.0.0.1:1", []string{"6.6.6.6" + strings.Repeat(",10.0.0.2", 32)}, "10.0.0.2"},
		{"10.0.0.1:1", append(make([]string, 1000), strings.Repeat("10.0.0.2,", 20)+"10.0.0.3"), "10.0.0.2"},
		{"@", []string{"203.0.113.5"}, ""}, // a Unix socket
		{"", nil, ""},
	} {
		r := request()
		r.RemoteAddr, r.Header["X-Forwarded-For"] = c.remote, c.lines
		got := f.ClientIP(r)
		if want := c.want; got.IsValid() && got.String() != want || !got.IsValid() && want != "" {
			t.Errorf("ClientIP of %s with %.60q is %v, want %q", c.remote, c.lines, got, want)
		}
	}
}

// As much of an IPv6 address is one client as it says, and never of an IPv4 one.
func TestIPv6Bits(t *testing.T) {
	for bits, want := range map[int]string{0: "2001:db8:ffff:ffff::", 48: "2001:db8:ffff::", 56: "2001:db8:ffff:ff00::", 128: "2001:db8:ffff:ffff:1::1"} {
		f := newFinder(t, identity.Config{IPv6Bits: bits})
		r := request()
		r.RemoteAddr = "[2001:db8:ffff:ffff:1::1]:1"
		if got := f.ClientIP(r).String(); got != want {
			t.Errorf("with %d bits it is %s, want %s", bits, got, want)
		}
		r.RemoteAddr = "203.0.113.5:1"
		if got := f.ClientIP(r).String(); got != "203.0.113.5" {
			t.Errorf("with %d bits an IPv4 address is %s", bits, got)
		}
	}
	for _, bits := range []int{-1, 129} {
		if _, err := identity.New(identity.Config{IPv6Bits: bits}); err == nil {
			t.Errorf("New takes %d bits", bits)
		}
	}
}

// A client that comes through trusted proxies never chooses its own address, whatever it sends.
func TestClientCannotChoose(t *testing.T) {
	f := newFinder(t, identity.Config{TrustedProxies: inside(), IPv6Bits: 128})
	rapid.Check(t, func(t *rapid.T) {
		client := address().Filter(func(a netip.Addr) bool { return !isInside(a) }).Draw(t, "client")
		lines := rapid.SliceOfN(claim(), 0, 4).Draw(t, "lines")
		sent := strings.Join(lines, "|")
		from := client
		for range rapid.IntRange(1, 4).Draw(t, "proxies") {
			lines = forward(t, lines, from)
			from = netip.AddrFrom4([4]byte{10, 0, 0, rapid.Byte().Draw(t, "proxy")})
		}
		r := request()
		r.RemoteAddr, r.Header["X-Forwarded-For"] = netip.AddrPortFrom(from, 1).String(), lines
		if got, want := f.ClientIP(r), client.WithZone("").Unmap(); got != want {
			t.Fatalf("a client at %v that sends %q is %v; the lines are %q", client, sent, got, lines)
		}
	})
}

// forward returns lines as a proxy sends them on that got them from the host at from: with one entry more, in the last
// line or one of its own.
func forward(t *rapid.T, lines []string, from netip.Addr) []string {
	entry := from.String()
	if rapid.Bool().Draw(t, "port") {
		entry = netip.AddrPortFrom(from, rapid.Uint16().Draw(t, "number")).String()
	}
	if len(lines) == 0 || rapid.Bool().Draw(t, "line") {
		return append(lines, entry)
	}
	last := len(lines) - 1
	return append(append([]string{}, lines[:last]...), lines[last]+", "+entry)
}

// claim draws what a client may send in X-Forwarded-For.
func claim() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.OneOf(
			rapid.Map(address(), netip.Addr.String),
			rapid.SampledFrom([]string{"", " ", "10.0.0.1", "unknown", "[", "]", "[::1]:", "6.6.6.6:80", "\"", "for=6.6.6.6"}),
			rapid.StringMatching(`[ -~]{0,20}`),
		), 0, 5).Draw(t, "entries"), ",")
	})
}

// address draws an address.
func address() *rapid.Generator[netip.Addr] {
	return rapid.Custom(func(t *rapid.T) netip.Addr {
		b := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes")
		if rapid.Bool().Draw(t, "IPv6") {
			return netip.AddrFrom16([16]byte(b))
		}
		return netip.AddrFrom4([4]byte(b[:4]))
	})
}

// isInside says whether a is a trusted proxy's.
func isInside(a netip.Addr) bool {
	for _, n := range []string{"10.0.0.0/8", "172.16.0.0/12", "fd00::/8"} {
		if netip.MustParsePrefix(n).Contains(a.Unmap()) {
			return true
		}
	}
	return false
}

// Whatever stands there, the client is the peer, or an address that stands there or is cut from one; and an untrusted peer's
// words change nothing.
func FuzzForwardedFor(f *testing.F) {
	f.Add("10.0.0.1:1", "6.6.6.6, 10.0.0.2", "[2001:db8::1%eth0]:80")
	f.Add("[fd00::1%x]:1", "", ",,,unknown")
	f.Add("203.0.113.5:1", "1.2.3.4", "\xff\x00")
	finder := newFinder(f, identity.Config{TrustedProxies: inside(), IPv6Bits: 128})
	f.Fuzz(func(t *testing.T, remote, first, second string) {
		r := request()
		r.RemoteAddr = remote
		alone := finder.ClientIP(r)
		r.Header["X-Forwarded-For"] = []string{first, second}
		got := finder.ClientIP(r)
		if got.IsValid() && (got.Is4In6() || got.Zone() != "") {
			t.Errorf("ClientIP is %v", got)
		}
		if !isInside(alone) && got != alone {
			t.Errorf("%q is %v alone and %v by its own words", remote, alone, got)
		}
		if got != alone && !strings.Contains(strings.ToLower(first+second), digits(got)) {
			t.Errorf("ClientIP with %q and %q is %v, which nobody wrote", first, second, got)
		}
	})
}

// digits returns something that everybody writes who writes a.
func digits(a netip.Addr) string {
	if a.Is4() {
		return strconv.Itoa(int(a.As4()[0]))
	}
	return ":"
}

// To find out the address allocates nothing.
func TestClientIPAllocates(t *testing.T) {
	f := newFinder(t, identity.Config{TrustedProxies: inside()})
	r := request("X-Forwarded-For", "6.6.6.6, [2001:db8::1]:80, 10.0.0.2")
	r.RemoteAddr = "10.0.0.1:4711"
	allocatesNothing(t, "ClientIP", func() { f.ClientIP(r) })
}

func BenchmarkClientIP(b *testing.B) {
	f := newFinder(b, identity.Config{TrustedProxies: inside()})
	for name, lines := range map[string][]string{"direct": nil, "proxies=2": {"6.6.6.6, [2001:db8::1]:80, 10.0.0.2"}} {
		b.Run(name, func(b *testing.B) {
			r := request()
			r.RemoteAddr, r.Header["X-Forwarded-For"] = "10.0.0.1:4711", lines
			b.ReportAllocs()
			for b.Loop() {
				f.ClientIP(r)
			}
		})
	}
}

// request returns a request with headers, which are names and values in turn.
func request(headers ...string) *http.Request {
	r := &http.Request{RemoteAddr: "203.0.113.5:4711", Header: http.Header{}}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// newFinder returns a Finder for c.
func newFinder(t testing.TB, c identity.Config) *identity.Finder {
	t.Helper()
	f, err := identity.New(c)
	if err != nil {
		t.Fatalf("New(%+v): %v", c, err)
	}
	return f
}

// allocatesNothing checks that f allocates nothing. The race detector allocates itself.
func allocatesNothing(t *testing.T, what string, f func()) {
	t.Helper()
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	if n := testing.AllocsPerRun(100, f); n != 0 {
		t.Errorf("%s allocates %v times", what, n)
	}
}
