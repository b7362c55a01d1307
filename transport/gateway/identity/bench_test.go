package identity_test

import (
	"crypto/elliptic"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket/policy"
	"github.com/noriahq/noria/transport/gateway/identity"
)

// callers returns a Finder of keys and tokens, and requests by what they carry.
func callers(t testing.TB) (*identity.Finder, map[string]*http.Request) {
	t.Helper()
	s := newEd("d")
	f := newFinder(t, identity.Config{
		TrustedProxies: inside(), Now: func() time.Time { return noon },
		Identities: policy.Identities{
			Keys: &policy.Keys{File: file(t, "keys.yaml", []byte(keysOf("sk-0123456789abcdef0123456789abcdef0123456789abcdef", "kim")))},
			JWT:  &policy.JWT{JWKSFile: file(t, "jwks.json", jwks(s))},
		},
	})
	return f, map[string]*http.Request{
		"key":              bearer("sk-0123456789abcdef0123456789abcdef0123456789abcdef"),
		"x-api-key":        request("X-Api-Key", "sk-0123456789abcdef0123456789abcdef0123456789abcdef"),
		"unknown key":      bearer("sk-1123456789abcdef0123456789abcdef0123456789abcdef"),
		"remembered token": bearer(s.token(good(), nil)),
		"nobody":           request(),
	}
}

// To find out the caller allocates nothing, but for a token that was not there before.
func TestCallerAllocates(t *testing.T) {
	f, all := callers(t)
	for what, r := range all {
		_, _ = f.Caller(r)
		allocatesNothing(t, what, func() { _, _ = f.Caller(r) })
	}
}

func BenchmarkCaller(b *testing.B) {
	f, all := callers(b)
	for what, r := range all {
		b.Run(strings.ReplaceAll(what, " ", "-"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = f.Caller(r)
			}
		})
	}
}

// What a token costs that is not remembered, by algorithm, beside one that is.
func BenchmarkToken(b *testing.B) {
	for _, s := range []signer{newRSA("r"), newEC("e", elliptic.P256()), newEd("d"), newHMAC("h", []byte(strings.Repeat("s", 32)))} {
		b.Run(s.alg+"/remembered", func(b *testing.B) {
			f, r := withTokens(b, jwks(s), nil), bearer(s.token(good(), nil))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.Caller(r); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(s.alg+"/checked", func(b *testing.B) {
			f := withTokens(b, jwks(s), nil)
			all := make([]*http.Request, 1<<17) // more than are remembered, or enough for the run
			for i := range min(b.N+1, len(all)) {
				all[i] = bearer(s.token(with(good(), "jti", i), nil))
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N { // b.Loop does not tell how many tokens it needs
				if _, err := f.Caller(all[i%len(all)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
