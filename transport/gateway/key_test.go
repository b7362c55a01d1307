package gateway

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/noriahq/noria/bucket"
)

// An address is one client; all of an IPv6 /64 is.
func TestAddress(t *testing.T) {
	for remote, want := range map[string]string{
		"203.0.113.5:1":           "203.0.113.5",
		"203.0.113.5:65535":       "203.0.113.5",
		"[::ffff:203.0.113.5]:80": "203.0.113.5",
		"[2001:db8:1:2:3::4]:5":   "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff::]:5": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:5":        "fe80::/64",
		"[::1]:5":                 "::/64",
		"@":                       "@", // a Unix socket
		"":                        "",
	} {
		if got := address(remote); got != want {
			t.Errorf("address(%q) is %q, want %q", remote, got, want)
		}
	}
}

func TestParseKey(t *testing.T) {
	for s, want := range map[string]string{
		"client.ip": "client.ip", "header.x-api-key": "header.X-Api-Key", "header.Authorization": "header.Authorization",
		"": "", "ip": "", "header.": "", "header.a b": "", "header.a:b": "", "header.Host": "", "header.host": "", "Client.IP": "",
		"header." + strings.Repeat("x", 200): "", "header.\xff": "",
	} {
		k, err := ParseKey(s)
		if k.String() != want || (err == nil) != (want != "") {
			t.Errorf("ParseKey(%q) is %q, %v, want %q", s, k, err, want)
		}
		if err != nil && !errors.Is(err, ErrConfig) {
			t.Errorf("ParseKey(%q): %v does not wrap ErrConfig", s, err)
		}
	}
}

// No two lists of parts give one key.
func TestJoin(t *testing.T) {
	lists := [][]string{{"a", "b"}, {"ab"}, {"a", "", "b"}, {"1:a1:b"}, {"a1:b"}, {"a:b"}, {""}, {"", ""}}
	seen := map[string]int{}
	for i, l := range lists {
		k := join(l...)
		if j, ok := seen[k]; ok {
			t.Errorf("join(%q) and join(%q) are both %q", l, lists[j], k)
		}
		seen[k] = i
	}
}

// Whatever a client sends, its key is a key, and ParseKey reads what String writes.
func FuzzKey(f *testing.F) {
	f.Add("client.ip", "203.0.113.5:80", "")
	f.Add("header.X-Api-Key", "[2001:db8::1]:80", "secret")
	f.Add("header.X", "", "\xff\x00")
	f.Fuzz(func(t *testing.T, text, remote, value string) {
		k, err := ParseKey(text)
		if err != nil {
			if !utf8.ValidString(err.Error()) {
				t.Errorf("ParseKey(%q): error %q is not UTF-8", text, err)
			}
			return
		}
		if again, err := ParseKey(k.String()); err != nil || again != k {
			t.Errorf("ParseKey(%q) is %v, %v, want %v", k, again, err, k)
		}
		r := &http.Request{RemoteAddr: remote, Header: http.Header{}}
		if k.header != "" {
			r.Header.Set(k.header, value)
		}
		if key := k.of(r); bucket.CheckKey(key) != nil {
			t.Errorf("key of %q, %q is %q: %v", remote, value, key, bucket.CheckKey(key))
		}
	})
}
