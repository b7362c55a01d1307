package auth

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/noriahq/noria/bucket/policy"
)

// What was asked for is the proxy's word, in the words of each of them, and nobody else's.
func TestAsked(t *testing.T) {
	p, err := policy.Parse("noria.yaml", []byte("trusted_proxies: [127.0.0.0/8, 192.0.2.0/24]\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := newRules(p, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, peer, header string // of the header name=value, one line each
		want, wrong        string // METHOD host path client, or a part of the error
	}{
		{"nothing said", "127.0.0.1", "", "GET example.com / 127.0.0.1", ""},
		{"nginx", "127.0.0.1", "X-Original-URI=/a%20b?c=d|X-Original-Method=POST|X-Forwarded-Host=shop.example|X-Forwarded-For=198.51.100.1", "POST shop.example /a b 198.51.100.1", ""},
		{"nginx with X-Real-IP", "127.0.0.1", "X-Original-URI=/a|X-Real-IP=198.51.100.1", "GET example.com /a 198.51.100.1", ""},
		{"X-Real-IP is the lesser word", "127.0.0.1", "X-Forwarded-For=198.51.100.1|X-Real-IP=198.51.100.2", "GET example.com / 198.51.100.1", ""},
		{"Caddy and Traefik", "127.0.0.1", "X-Forwarded-Method=PUT|X-Forwarded-Proto=https|X-Forwarded-Host=shop.example:8443|X-Forwarded-Uri=/a/../b|X-Forwarded-For=198.51.100.1", "PUT shop.example:8443 /a/../b 198.51.100.1", ""},
		{"a chain of proxies", "127.0.0.1", "X-Forwarded-For=203.0.113.9, 198.51.100.1, 192.0.2.5", "GET example.com / 198.51.100.1", ""},
		{"a whole URL", "127.0.0.1", "X-Forwarded-Uri=http://shop.example/a?b", "GET example.com /a 127.0.0.1", ""},
		{"two slashes are no host", "127.0.0.1", "X-Forwarded-Uri=//evil.example/a", "GET example.com /evil.example/a 127.0.0.1", ""},
		{"OPTIONS *", "127.0.0.1", "X-Forwarded-Uri=*|X-Forwarded-Method=OPTIONS", "OPTIONS example.com / 127.0.0.1", ""},
		{"both words, the same", "127.0.0.1", "X-Forwarded-Uri=/a|X-Original-URI=/a", "GET example.com /a 127.0.0.1", ""},
		{"both words", "127.0.0.1", "X-Forwarded-Uri=/a|X-Original-URI=/b", "", "X-Forwarded-Uri and X-Original-Uri differ"},
		{"both methods", "127.0.0.1", "X-Forwarded-Method=GET|X-Original-Method=POST", "", "X-Forwarded-Method and X-Original-Method differ"},
		{"twice", "127.0.0.1", "X-Original-URI=/a|X-Original-URI=/b", "", "X-Original-Uri is there 2 times"},
		{"two real addresses", "127.0.0.1", "X-Real-IP=198.51.100.1|X-Real-IP=198.51.100.2", "", "X-Real-Ip is there 2 times"},
		{"no address", "127.0.0.1", "X-Real-IP=nobody", "GET example.com / 127.0.0.1", ""},
		{"no URI", "127.0.0.1", "X-Original-URI=a b", "", "want a path such as"},
		{"IPv6", "127.0.0.1", "X-Real-IP=2001:db8::1:2:3:4", "GET example.com / 2001:db8::", ""},
		{"not believed", "198.51.100.7", "X-Forwarded-Method=PUT|X-Forwarded-Host=x|X-Forwarded-Uri=/a|X-Forwarded-For=198.51.100.1|X-Real-IP=198.51.100.2|X-Original-URI=/b", "GET example.com / 198.51.100.7", ""},
	} {
		r := httptest.NewRequest(http.MethodGet, "http://example.com/v1/auth/web", nil)
		r.RemoteAddr = netip.AddrPortFrom(netip.MustParseAddr(c.peer), 4711).String()
		for line := range strings.SplitSeq(c.header, "|") {
			if name, value, ok := strings.Cut(line, "="); ok {
				r.Header.Add(name, value)
			}
		}
		a, err := rules.read(r)
		if c.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%s: error is %v, want one with %q", c.name, err, c.wrong)
			}
			continue
		}
		if got := a.method + " " + a.host + " " + a.path + " " + a.client.String(); got != c.want || err != nil {
			t.Errorf("%s: asked for %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

// Whatever headers come, they are read or refused, and a path begins with a slash.
func FuzzAsked(f *testing.F) {
	f.Add("/a?b", "/a", "198.51.100.1")
	f.Add("//x", "*", "::1, [2001:db8::1]:80")
	p, err := policy.Parse("noria.yaml", []byte("trusted_proxies: [127.0.0.0/8]\n"), nil)
	if err != nil {
		f.Fatal(err)
	}
	rules, err := newRules(p, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, forwarded, original, address string) {
		r := httptest.NewRequest(http.MethodGet, "http://example.com/v1/auth/web", nil)
		r.RemoteAddr = "127.0.0.1:4711"
		for name, value := range map[string]string{"X-Forwarded-Uri": forwarded, "X-Original-Uri": original, "X-Real-Ip": address} {
			if value != "" {
				r.Header[name] = []string{value}
			}
		}
		a, err := rules.read(r)
		if err != nil {
			return
		}
		if !strings.HasPrefix(a.path, "/") || !a.client.IsValid() {
			t.Errorf("read %q, %q, %q as the path %q and the client %v, want both", forwarded, original, address, a.path, a.client)
		}
	})
}
