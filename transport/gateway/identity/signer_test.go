package identity_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A signer makes tokens that no library helped with.
type signer struct {
	alg  string // of the tokens
	kid  string // "" for none
	sign func(text []byte) []byte
	jwk  map[string]any
}

// object is JSON.
type object = map[string]any

// b64 is how tokens spell bytes.
func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// token returns a token with claims, and with header in place of what it would have.
func (s signer) token(claims, header object) string {
	h := object{"alg": s.alg, "typ": "JWT"}
	if s.kid != "" {
		h["kid"] = s.kid
	}
	for name, v := range header {
		h[name] = v
	}
	text := b64(asJSON(h)) + "." + b64(asJSON(claims))
	return text + "." + b64(s.sign([]byte(text)))
}

// as returns s under another kid.
func (s signer) as(kid string) signer {
	s.kid = kid
	s.jwk = with(s.jwk, "kid", kid)
	return s
}

// with returns m with name set to v.
func with(m object, name string, v any) object {
	n := object{name: v}
	for k, old := range m {
		if k != name {
			n[k] = old
		}
	}
	return n
}

// asJSON returns v in JSON.
func asJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// jwks returns the key set of signers.
func jwks(signers ...signer) []byte {
	keys := []any{}
	for _, s := range signers {
		keys = append(keys, s.jwk)
	}
	return asJSON(object{"keys": keys})
}

// rsaKey is made once: that takes a while.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// newRSA returns a signer with RS256.
func newRSA(kid string) signer {
	key := rsaKey()
	return signer{
		alg: "RS256", kid: kid,
		sign: func(text []byte) []byte {
			sum := sha256.Sum256(text)
			return must(rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:]))
		},
		jwk: object{"kty": "RSA", "kid": kid, "n": b64(key.N.Bytes()), "e": b64(big.NewInt(int64(key.E)).Bytes())},
	}
}

// newEC returns a signer with ES256, or with another curve what claims to be that.
func newEC(kid string, curve elliptic.Curve) signer {
	key := must(ecdsa.GenerateKey(curve, rand.Reader))
	point := must(key.PublicKey.Bytes())[1:]
	return signer{
		alg: "ES256", kid: kid,
		sign: func(text []byte) []byte {
			sum := sha256.Sum256(text)
			r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
			size := len(point) / 2
			return append(must(r, err).FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
		},
		jwk: object{"kty": "EC", "kid": kid, "crv": curve.Params().Name, "x": b64(point[:len(point)/2]), "y": b64(point[len(point)/2:])},
	}
}

// newEd returns a signer with EdDSA.
func newEd(kid string) signer {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	must(public, err)
	return signer{
		alg: "EdDSA", kid: kid,
		sign: func(text []byte) []byte { return ed25519.Sign(key, text) },
		jwk:  object{"kty": "OKP", "kid": kid, "crv": "Ed25519", "x": b64(public)},
	}
}

// newHMAC returns a signer with HS256.
func newHMAC(kid string, secret []byte) signer {
	return signer{
		alg: "HS256", kid: kid,
		sign: func(text []byte) []byte {
			h := hmac.New(sha256.New, secret)
			h.Write(text)
			return h.Sum(nil)
		},
		jwk: object{"kty": "oct", "kid": kid, "k": b64(secret)},
	}
}

// the time of tests.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// good are the claims of a good token.
func good() object {
	return object{"sub": "alice", "tier": "pro", "org": "acme", "exp": noon.Add(time.Hour).Unix()}
}

// file writes b to a file of its own and returns its path.
func file(t testing.TB, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// rewrite gives the file at path new contents, and a time of its own: those of two quick changes may be the same.
func rewrite(t testing.TB, path, text string, minute int) {
	t.Helper()
	at := time.Now().Add(time.Duration(minute) * time.Minute)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

// lines joins lines.
func lines(all ...string) string { return strings.Join(all, "\n") + "\n" }
