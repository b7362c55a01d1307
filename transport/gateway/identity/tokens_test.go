package identity_test

import (
	"context"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noriahq/noria/bucket/policy"
	"github.com/noriahq/noria/transport/gateway/identity"
)

// withTokens returns a Finder of tokens by set; change may change how they are checked.
func withTokens(t testing.TB, set []byte, change func(*policy.JWT)) *identity.Finder {
	t.Helper()
	j := policy.JWT{JWKSFile: file(t, "jwks.json", set), Algorithms: []string{"HS256", "RS256", "ES256", "EdDSA"}}
	if change != nil {
		change(&j)
	}
	return newFinder(t, identity.Config{Identities: policy.Identities{JWT: &j}, Now: func() time.Time { return noon }})
}

// bearer returns a request with a bearer's token.
func bearer(token string) *http.Request { return request("Authorization", "Bearer "+token) }

// Tokens of all algorithms name their callers, asked twice as well as once.
func TestTokens(t *testing.T) {
	all := []signer{
		newRSA("r"), newEC("e", elliptic.P256()), newEd("d"), newHMAC("h", []byte(strings.Repeat("s", 32))), newEC("e2", elliptic.P256()),
	}
	f := withTokens(t, jwks(all...), nil)
	want := &policy.Caller{ID: "alice", Tier: "pro", Org: "acme"}
	for _, s := range all {
		for _, header := range []object{nil, {"typ": "at+jwt"}} {
			r := bearer(s.token(good(), header))
			for range 2 {
				got, err := f.Caller(r)
				if diff := cmp.Diff(want, got); err != nil || diff != "" {
					t.Errorf("%s: %v, (-want +got):\n%s", s.alg, err, diff)
				}
			}
		}
		s.kid = "" // all of its kind are tried
		if got, err := f.Caller(bearer(s.token(good(), nil))); err != nil || got.ID != "alice" {
			t.Errorf("%s without kid: %v, %v", s.alg, got, err)
		}
	}
}

// What is wrong with a token is found, and the sender of one that is not signed learns nothing else.
func TestBadTokens(t *testing.T) {
	rs, ec, ed, hs := newRSA("r"), newEC("e", elliptic.P256()), newEd("d"), newHMAC("h", []byte(strings.Repeat("s", 32)))
	p384, short := newEC("p384", elliptic.P384()), newHMAC("short", []byte("secret"))
	encrypts, signs, other := ed.as("enc"), newEd("ops"), newRSA("rs384")
	encrypts.jwk = with(encrypts.jwk, "use", "enc")
	signs.jwk = with(signs.jwk, "key_ops", []string{"sign"})
	other.jwk = with(other.jwk, "alg", "RS384")
	f := withTokens(t, jwks(rs, ec, ed, hs, p384, short, encrypts, signs, other), func(j *policy.JWT) {
		j.Issuer, j.Audience = "https://issuer.example", []string{"api", "other"}
	})
	claims := func(change object) object {
		c := with(with(good(), "iss", "https://issuer.example"), "aud", []string{"web", "api"})
		for name, v := range change {
			if c[name] = v; v == nil {
				delete(c, name)
			}
		}
		return c
	}
	const (
		invalid    = "the token is not valid"
		unfinished = "the token lacks a claim that is asked for, or has it in another form"
	)
	fine := rs.token(claims(nil), nil)
	parts := strings.Split(fine, ".")
	stranger := newEd("d")
	for name, c := range map[string]struct {
		token string
		want  string // "" for a good one
	}{
		"good":            {fine, ""},
		"one audience":    {rs.token(claims(object{"aud": "api"}), nil), ""},
		"within leeway":   {rs.token(claims(object{"exp": noon.Add(-29 * time.Second).Unix(), "nbf": noon.Add(29 * time.Second).Unix()}), nil), ""},
		"expired":         {rs.token(claims(object{"exp": noon.Add(-30 * time.Second).Unix()}), nil), "the token has expired"},
		"expired in 1970": {rs.token(claims(object{"exp": 0}), nil), "the token has expired"},
		"exp is huge":     {rs.token(claims(object{"exp": 1e300}), nil), "the token has expired"},
		"exp is text":     {rs.token(claims(object{"exp": "tomorrow"}), nil), unfinished},
		"no exp":          {rs.token(claims(object{"exp": nil}), nil), unfinished},
		"not yet":         {rs.token(claims(object{"nbf": noon.Add(31 * time.Second).Unix()}), nil), "the token is not valid yet"},
		"issuer":          {rs.token(claims(object{"iss": "https://issuer.example/"}), nil), "the token is from another issuer"},
		"no issuer":       {rs.token(claims(object{"iss": nil}), nil), unfinished},
		"audience":        {rs.token(claims(object{"aud": "web"}), nil), "the token is for another audience"},
		"no audience":     {rs.token(claims(object{"aud": nil}), nil), unfinished},
		"audience in odd": {rs.token(claims(object{"aud": []any{"api", 1}}), nil), unfinished},
		"no id":           {rs.token(claims(object{"sub": nil}), nil), unfinished},
		"empty id":        {rs.token(claims(object{"sub": ""}), nil), unfinished},
		"id is a list":    {rs.token(claims(object{"sub": []string{"alice"}}), nil), unfinished},
		"id with a line":  {rs.token(claims(object{"sub": "alice\nbob"}), nil), unfinished},
		"long id":         {rs.token(claims(object{"sub": strings.Repeat("a", 257)}), nil), unfinished},
		"tier is true":    {rs.token(claims(object{"tier": true}), nil), unfinished},

		"another's key":     {stranger.token(claims(nil), nil), invalid},
		"expired, unsigned": {stranger.token(claims(object{"exp": 1}), nil), invalid},
		"unknown kid":       {rs.as("x").token(claims(nil), nil), invalid},
		"kid is a number":   {rs.token(claims(nil), object{"kid": 1}), invalid},
		"kid of another":    {rs.as("e").token(claims(nil), nil), invalid},
		"none":              {rs.token(claims(nil), object{"alg": "none"}), invalid},
		"none, unsigned":    {b64([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".", invalid},
		"NONE":              {rs.token(claims(nil), object{"alg": "NONE"}), invalid},
		"no alg":            {rs.token(claims(nil), object{"alg": nil}), invalid},
		"RS384":             {rs.token(claims(nil), object{"alg": "RS384"}), invalid},
		"PS256":             {rs.token(claims(nil), object{"alg": "PS256"}), invalid},
		"crit":              {rs.token(claims(nil), object{"crit": []string{"exp"}}), invalid},
		"curve P-384":       {p384.token(claims(nil), nil), invalid},
		"short secret":      {short.token(claims(nil), nil), invalid},
		"key to encrypt":    {encrypts.token(claims(nil), nil), invalid},
		"key to sign":       {signs.token(claims(nil), nil), invalid},
		"key for RS384":     {other.token(claims(nil), nil), invalid},
		"own key":           {stranger.token(claims(nil), object{"jwk": stranger.jwk, "kid": nil}), invalid},
		"own URL":           {stranger.token(claims(nil), object{"jku": "http://127.0.0.1:1/"}), invalid},

		"no signature":    {parts[0] + "." + parts[1] + ".", invalid},
		"changed claims":  {parts[0] + "." + b64(asJSON(claims(object{"sub": "bob"}))) + "." + parts[2], invalid},
		"four parts":      {fine + ".x", invalid},
		"two parts":       {parts[0] + "." + parts[1], invalid},
		"empty parts":     {"..", invalid},
		"padded":          {fine + "==", invalid},
		"line in it":      {fine[:20] + "\n" + fine[20:], invalid},
		"claims are null": {hs.token(nil, nil), unfinished},
		"header is null":  {b64([]byte("null")) + "." + parts[1] + "." + parts[2], invalid},
		"header is text":  {b64([]byte(`"a"`)) + "." + parts[1] + "." + parts[2], invalid},
		"no token":        {"secret", invalid},
		"long":            {fine + strings.Repeat("A", 9000), "they have more than 8192 bytes"},
	} {
		got, err := f.Caller(bearer(c.token))
		checkReason(t, name, got, err, c.want)
	}
}

// checkReason checks that err is about credentials and says want, or that there is a caller if want is "".
func checkReason(t *testing.T, name string, got *policy.Caller, err error, want string) {
	t.Helper()
	switch {
	case want == "" && (err != nil || got == nil || got.Anonymous):
		t.Errorf("%s: caller is %+v, %v", name, got, err)
	case want != "" && (got != nil || !errors.Is(err, identity.ErrCredentials) || err.Error() != "bad credentials: "+want):
		t.Errorf("%s: caller is %+v, %v; want %q", name, got, err, want)
	}
}

// The public key is no secret: a token that was made with it as one is refused, in whatever form it was taken.
func TestAlgorithmConfusion(t *testing.T) {
	rs := newRSA("r")
	public := &rsaKey().PublicKey
	pkix := must(x509.MarshalPKIXPublicKey(public))
	for name, secret := range map[string][]byte{
		"PKIX": pkix, "PKCS1": x509.MarshalPKCS1PublicKey(public), "n": public.N.Bytes(), "JWK": asJSON(rs.jwk),
		"PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix}), "base64": []byte(base64.StdEncoding.EncodeToString(pkix)),
	} {
		for _, kid := range []string{"r", ""} {
			f := withTokens(t, jwks(rs), nil)
			got, err := f.Caller(bearer(newHMAC(kid, secret).token(good(), nil)))
			checkReason(t, name, got, err, "the token is not valid")
		}
	}
}

// Only algorithms that are allowed are, and HS256 is not unless it is said.
func TestAlgorithms(t *testing.T) {
	rs, hs := newRSA("r"), newHMAC("h", []byte(strings.Repeat("s", 32)))
	for _, c := range []struct {
		allowed []string
		rs, hs  string
	}{
		{nil, "", "the token is not valid"},
		{[]string{"RS256"}, "", "the token is not valid"},
		{[]string{"HS256"}, "the token is not valid", ""},
		{[]string{"ES256", "EdDSA"}, "the token is not valid", "the token is not valid"},
	} {
		f := withTokens(t, jwks(rs, hs), func(j *policy.JWT) { j.Algorithms = c.allowed })
		got, err := f.Caller(bearer(rs.token(good(), nil)))
		checkReason(t, fmt.Sprint("RS256 of ", c.allowed), got, err, c.rs)
		got, err = f.Caller(bearer(hs.token(good(), nil)))
		checkReason(t, fmt.Sprint("HS256 of ", c.allowed), got, err, c.hs)
	}
}

// Claims are found under dotted paths, and under names that have dots themselves. Numbers keep all their digits.
func TestClaims(t *testing.T) {
	s := newEd("d")
	f := withTokens(t, jwks(s), func(j *policy.JWT) {
		j.IDClaim, j.TierClaim, j.OrgClaim = "user.id", "https://example.com/plan", "realm.org.name"
	})
	for name, c := range map[string]struct {
		claims object
		want   policy.Caller
	}{
		"nested":    {object{"user": object{"id": "a"}, "realm": object{"org": object{"name": "o"}}}, policy.Caller{ID: "a", Org: "o"}},
		"with dots": {object{"user.id": "a", "https://example.com/plan": "pro", "realm.org": object{"name": "o"}}, policy.Caller{ID: "a", Tier: "pro", Org: "o"}},
		"both":      {object{"user.id": "a", "user": object{"id": "b"}}, policy.Caller{ID: "a"}},
		"number":    {object{"user": object{"id": 9007199254740993}}, policy.Caller{ID: "9007199254740993"}},
		"null":      {object{"user": object{"id": "a"}, "realm": nil}, policy.Caller{ID: "a"}},
		"no object": {object{"user": object{"id": "a"}, "realm": object{"org": "o"}}, policy.Caller{ID: "a"}},
	} {
		got, err := f.Caller(bearer(s.token(with(c.claims, "exp", noon.Add(time.Hour).Unix()), nil)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(&c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A token that is remembered ends when it ends, and not later.
func TestRememberedTokenEnds(t *testing.T) {
	s, now := newEd("d"), noon
	j := policy.JWT{JWKSFile: file(t, "jwks.json", jwks(s)), Leeway: time.Second}
	f := newFinder(t, identity.Config{Identities: policy.Identities{JWT: &j}, Now: func() time.Time { return now }})
	r := bearer(s.token(with(good(), "exp", noon.Add(time.Minute).Unix()), nil))
	for _, c := range []struct {
		after time.Duration
		want  string
	}{{0, ""}, {0, ""}, {time.Minute, ""}, {time.Minute + time.Second - 1, ""}, {time.Minute + time.Second, "the token has expired"}, {2 * time.Minute, "the token has expired"}} {
		now = noon.Add(c.after)
		got, err := f.Caller(r)
		checkReason(t, c.after.String(), got, err, c.want)
	}
}

// Key sets that cannot be used are refused at the start, and what they say is not in the error.
func TestBadKeySets(t *testing.T) {
	for name, set := range map[string]string{
		"empty": "", "no JSON": `{"keys":[{"k":"secret"`, "no keys": `{"keys":[]}`, "null": "null", "list": `[]`, "other": `{}`,
		"unknown kinds": `{"keys":[{"kty":"XYZ","k":"secret"},{"kty":"RSA"},7,null,"secret"]}`,
		"too many":      `{"keys":[` + strings.Repeat(`{"kty":"oct","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"},`, 256) + `{}]}`,
		"too long":      `{"keys":[]}` + strings.Repeat(" ", 1<<20),
		"not on curve":  `{"keys":[{"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"}]}`,
	} {
		_, err := identity.New(identity.Config{Identities: policy.Identities{JWT: &policy.JWT{JWKSFile: file(t, "jwks.json", []byte(set))}}})
		if !errors.Is(err, identity.ErrConfig) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: New returns %v", name, err)
		}
	}
}

// Whatever stands in Authorization, there is an answer, and it is never that nobody asks.
func FuzzAuthorization(f *testing.F) {
	s, hs := newEd("d"), newHMAC("h", []byte(strings.Repeat("s", 32)))
	finder := newFinder(f, identity.Config{
		Identities: policy.Identities{
			Keys: &policy.Keys{File: file(f, "keys.yaml", []byte(keysOf("secret", "alice")))},
			JWT:  &policy.JWT{JWKSFile: file(f, "jwks.json", jwks(s, hs)), Algorithms: []string{"HS256", "EdDSA"}},
		},
		Now: func() time.Time { return noon },
	})
	goodOne := s.token(good(), nil)
	parts := strings.Split(goodOne, ".")
	for _, line := range []string{
		"", "Bearer", "Bearer ", "bearer secret", "Basic c2VjcmV0", "Bearer " + goodOne, "Bearer " + hs.token(good(), object{"kid": nil}),
		"Bearer ..", "Bearer " + parts[0] + "..", "Bearer " + b64([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".",
		"Bearer " + b64([]byte(`{"alg":"EdDSA","crit":[1],"kid":{}}`)) + "." + parts[1] + "." + parts[2],
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		got, err := finder.Caller(request("Authorization", line).WithContext(context.Background()))
		if err != nil && (got != nil || !errors.Is(err, identity.ErrCredentials)) {
			t.Fatalf("Caller of %q is %+v, %v", line, got, err)
		}
		if challenge := identity.Challenge(fmt.Errorf("%w", errors.Join(err, nil))); err != nil && strings.ContainsAny(challenge, "\r\n") {
			t.Errorf("challenge is %q", challenge)
		}
		if err != nil {
			return
		}
		secret := strings.Trim(line[len("Bearer"):], " \t")
		if got.Anonymous || got.ID != "alice" || secret != "secret" && !isSigned(secret, s, hs) {
			t.Errorf("Caller of %q is %+v", line, got)
		}
	})
}

// isSigned says whether token is signed by one of signers whose signatures are always the same.
func isSigned(token string, signers ...signer) bool {
	dot := strings.LastIndexByte(token, '.')
	for _, s := range signers {
		if dot >= 0 && b64(s.sign([]byte(token[:dot]))) == token[dot+1:] {
			return true
		}
	}
	return false
}
