package identity_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noriahq/noria/bucket/policy"
	"github.com/noriahq/noria/transport/gateway/identity"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// keysOf returns a key file with keys and the ids of their owners in turn.
func keysOf(pairs ...string) string {
	var b strings.Builder
	b.WriteString("keys:\n")
	for i := 0; i < len(pairs); i += 2 {
		b.WriteString("  - {sha256: " + identity.HashKey(pairs[i]) + ", id: " + pairs[i+1] + ", tier: pro, org: acme, attributes: {region: eu}}\n")
	}
	return b.String()
}

// The first identity that a request carries counts, and a bad one makes nobody anonymous.
func TestCaller(t *testing.T) {
	s := newEd("d")
	token := s.token(with(good(), "sub", "tom"), nil)
	keyFile := file(t, "keys.yaml", []byte(keysOf("secret", "kim", "a.b.c", "dot")))
	set := file(t, "jwks.json", jwks(s))
	all := policy.Identities{
		Keys: &policy.Keys{File: keyFile}, JWT: &policy.JWT{JWKSFile: set},
		Header: &policy.TrustedHeader{ID: "x-user", Tier: "X-Tier", Org: "X-Org"},
	}
	keys, tokens, header := all, all, all
	keys.JWT, tokens.Keys, header.Keys, header.JWT = nil, nil, nil, nil
	own := policy.Identities{Keys: &policy.Keys{File: keyFile, Header: "x-own"}, JWT: &policy.JWT{JWKSFile: set, Header: "X-Token"}, AnonymousTier: "guest"}
	both := policy.Identities{Keys: &policy.Keys{File: keyFile, Header: "Authorization"}}

	const outside, proxy = "203.0.113.5:1", "10.0.0.1:1"
	const unknown, scheme = "the API key is not known", "Authorization has to be Bearer and an API key or token"
	for name, c := range map[string]struct {
		ids     policy.Identities
		remote  string
		headers []string
		want    string // the id, the tier if anonymous, or what is wrong
	}{
		"key":                {all, outside, []string{"X-Api-Key", "secret"}, "kim"},
		"key as bearer":      {all, outside, []string{"Authorization", "Bearer secret"}, "kim"},
		"any case and space": {all, outside, []string{"Authorization", "bEARER   secret "}, "kim"},
		"key like a token":   {all, outside, []string{"Authorization", "Bearer a.b.c"}, "dot"},
		"unknown key":        {all, outside, []string{"X-Api-Key", "Secret"}, unknown},
		"the key's hash":     {all, outside, []string{"X-Api-Key", identity.HashKey("secret")}, unknown},
		"unknown bearer":     {all, outside, []string{"Authorization", "Bearer Secret"}, unknown},
		"both keys":          {all, outside, []string{"X-Api-Key", "secret", "Authorization", "Bearer " + token}, "kim"},
		"bad before good":    {all, outside, []string{"X-Api-Key", "x", "Authorization", "Bearer " + token}, unknown},
		"two lines":          {all, outside, []string{"X-Api-Key", "secret", "X-Api-Key", "secret"}, "they are there more than once"},
		"empty":              {all, outside, []string{"X-Api-Key", ""}, "they are empty"},
		"empty bearer":       {all, outside, []string{"Authorization", "Bearer "}, "they are empty"},
		"only Bearer":        {all, outside, []string{"Authorization", "Bearer"}, "they are empty"},
		"10,000 bytes":       {all, outside, []string{"X-Api-Key", strings.Repeat("k", 10_000)}, "they have more than 8192 bytes"},
		"no scheme":          {all, outside, []string{"Authorization", "secret"}, scheme},
		"Basic":              {all, outside, []string{"Authorization", "Basic c2VjcmV0"}, scheme},
		"Bearersecret":       {all, outside, []string{"Authorization", "Bearersecret"}, scheme},
		"empty line":         {all, outside, []string{"Authorization", ""}, scheme},
		"token":              {all, outside, []string{"Authorization", "Bearer " + token}, "tom"},
		"bad token":          {all, outside, []string{"Authorization", "Bearer " + token + "x"}, "the token is not valid"},
		"token as key":       {all, outside, []string{"X-Api-Key", token}, unknown},
		"token, keys alone":  {keys, outside, []string{"Authorization", "Bearer " + token}, unknown},
		"key, tokens alone":  {tokens, outside, []string{"Authorization", "Bearer secret"}, "the token is not valid"},
		"key not looked at":  {tokens, outside, []string{"X-Api-Key", "secret"}, "anonymous"},
		"own headers":        {own, outside, []string{"X-Own", "secret", "Authorization", "Basic x"}, "kim"},
		"own token":          {own, outside, []string{"X-Token", token}, "tom"},
		"own header's bad":   {own, outside, []string{"X-Own", "x"}, unknown},
		"not these":          {own, outside, []string{"Authorization", "Bearer secret", "X-Api-Key", "secret"}, "guest"},
		"asked in order":     {own, outside, []string{"X-Token", token, "X-Own", "secret"}, "kim"},
		"Authorization":      {both, outside, []string{"Authorization", "Bearer secret", "X-Api-Key", "x"}, "kim"},
		"proxy's word":       {all, proxy, []string{"X-User", "uma", "X-Tier", "free"}, "uma"},
		"key before it":      {all, proxy, []string{"X-User", "uma", "X-Api-Key", "secret"}, "kim"},
		"bad key before it":  {all, proxy, []string{"X-User", "uma", "X-Api-Key", "x"}, unknown},
		"not a proxy's word": {all, outside, []string{"X-User", "uma"}, "anonymous"},
		"by forwarding":      {all, outside, []string{"X-User", "uma", "X-Forwarded-For", "10.0.0.1"}, "anonymous"},
		"no address":         {header, "@", []string{"X-User", "uma"}, "anonymous"},
		"nobody's word":      {header, proxy, []string{"X-User", "", "X-Tier", "pro"}, "anonymous"},
		"two words":          {header, proxy, []string{"X-User", "uma", "X-User", "eve"}, "the identity that the proxy sent is not usable"},
		"two tiers":          {header, proxy, []string{"X-User", "uma", "X-Tier", "free", "X-Tier", "pro"}, "the identity that the proxy sent is not usable"},
		"long word":          {header, proxy, []string{"X-User", strings.Repeat("u", 257)}, "the identity that the proxy sent is not usable"},
		"not asked":          {header, proxy, []string{"Authorization", "Bearer x"}, "anonymous"},
		"nobody":             {all, outside, nil, "anonymous"},
		"nobody is asked":    {policy.Identities{}, outside, []string{"Authorization", "x", "X-Api-Key", "x", "X-User", "x"}, "anonymous"},
	} {
		f := newFinder(t, identity.Config{Identities: c.ids, TrustedProxies: inside(), Now: func() time.Time { return noon }})
		r := request(c.headers...)
		r.RemoteAddr = c.remote
		got, err := f.Caller(r)
		if err != nil {
			checkReason(t, name, got, err, c.want)
		} else if said := said(got); said != c.want {
			t.Errorf("%s: caller is %q, want %q", name, said, c.want)
		}
	}
}

// said returns the id of c, or the tier if c is anonymous.
func said(c *policy.Caller) string {
	if c.Anonymous {
		return c.Tier
	}
	return c.ID
}

// All that a key file or a proxy says of a caller arrives.
func TestCallerIsWhole(t *testing.T) {
	f := newFinder(t, identity.Config{TrustedProxies: inside(), Identities: policy.Identities{
		Keys: &policy.Keys{File: file(t, "keys.yaml", []byte(keysOf("secret", "kim")))}, Header: &policy.TrustedHeader{ID: "X-User", Tier: "X-Tier", Org: "X-Org"},
	}})
	got, err := f.Caller(request("X-Api-Key", "secret"))
	want := &policy.Caller{ID: "kim", Tier: "pro", Org: "acme", Attributes: map[string]string{"region": "eu"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("of a key: %v, (-want +got):\n%s", err, diff)
	}
	r := request("X-User", "uma", "X-Tier", "free", "X-Org", "acme")
	r.RemoteAddr = "10.0.0.1:1"
	got, err = f.Caller(r)
	want = &policy.Caller{ID: "uma", Tier: "free", Org: "acme"}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("of a header: %v, (-want +got):\n%s", err, diff)
	}
}

// A challenge tells why, and has nothing in it that ends it early.
func TestChallenge(t *testing.T) {
	f := newFinder(t, identity.Config{Identities: policy.Identities{Keys: &policy.Keys{File: file(t, "keys.yaml", []byte(keysOf("secret", "kim")))}}})
	_, err := f.Caller(request("X-Api-Key", "x"))
	for err, want := range map[error]string{
		err: `Bearer realm="noria", error="invalid_token", error_description="the API key is not known"`,
		errors.Join(identity.ErrCredentials, errors.New(`"`)): `Bearer realm="noria"`,
		identity.ErrUnavailable:                               `Bearer realm="noria"`,
	} {
		if got := identity.Challenge(err); got != want {
			t.Errorf("challenge of %v is %q, want %q", err, got, want)
		}
	}
}

// indented returns mappings in mappings.
func indented(depth int) string {
	var b strings.Builder
	for i := range depth {
		b.WriteString(strings.Repeat(" ", i+1) + "a:\n")
	}
	return b.String()
}

// What is wrong with a key file is told at its place, all at once, and shows no key.
func TestKeyFileErrors(t *testing.T) {
	hash := identity.HashKey("secret")
	var b strings.Builder
	for _, c := range []struct{ name, text string }{
		{"fields", lines("keys:", "  - sha256: "+hash, "    idd: kim", "  - id: kim", "  - sha256: "+hash, "  - {sha256: "+hash+", id: kim, teir: pro}")},
		{"clear", lines("keys:", "  - {key: secret, id: kim}", "  - {sha256: secret, id: kim}", "  - {sha256: [secret], id: kim}")},
		{"twice", lines("keys:", "  - {sha256: "+hash+", id: kim}", "  - {sha256: "+strings.ToUpper(hash)+", id: tom}")},
		{"forms", lines("keys:", "  - {sha256: "+hash+", id: [kim]}", "  - {sha256: "+hash+`, id: ""}`, "  - secret", "  - {sha256: "+hash+", id: kim, attributes: secret}", "  -", `  - {sha256: `+hash+`, id: "a\nb"}`)},
		{"mapping", lines("keys:", "  secret: kim")},
		{"top", lines("limits: 1", "keyz: []")},
		{"list", lines("- secret")},
		{"text", "secret\n"},
		{"empty", ""},
		{"comment", "# keys: []\n"},
		{"syntax", lines("keys:", "  - {sha256: secret")},
		{"tab", "keys:\n\t- secret"},
		{"anchor", lines("keys:", "  - &a {sha256: "+hash+", id: kim}", "  - *a", "  - {<<: *a}")},
		{"same field", lines("keys:", "  - {sha256: "+hash+", id: kim, id: tom}")},
		{"long line", lines("keys:", "  - {sha256: "+hash+", id: "+strings.Repeat("k", 5000)+"}")},
		{"many", lines("keys:", strings.Repeat("  - {id: kim}\n", 30))},
		{"deep", "keys:\n" + strings.Repeat("[\n", 2000)},
		{"indented", "keys:\n" + indented(2000)},
	} {
		path := file(t, "keys.yaml", []byte(c.text))
		_, err := identity.New(identity.Config{Identities: policy.Identities{Keys: &policy.Keys{File: path}}})
		if !errors.Is(err, identity.ErrConfig) || strings.Contains(strings.ReplaceAll(err.Error(), "secret:", ""), "secret") {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		b.WriteString("# " + c.name + "\n" + strings.ReplaceAll(err.Error(), path, "keys.yaml") + "\n")
	}
	golden(t, "keyfile.txt", b.String())
}

// Files and settings that cannot be used are told at the start.
func TestBadConfig(t *testing.T) {
	set, there := file(t, "jwks.json", jwks(newEd("d"))), file(t, "keys.yaml", []byte(keysOf("k", "kim")))
	for name, ids := range map[string]policy.Identities{
		"no key file":      {Keys: &policy.Keys{File: "testdata/none"}},
		"a folder":         {Keys: &policy.Keys{File: t.TempDir()}},
		"a device":         {Keys: &policy.Keys{File: os.DevNull}},
		"key header":       {Keys: &policy.Keys{File: there, Header: "X Y"}},
		"no key set":       {JWT: &policy.JWT{}},
		"two key sets":     {JWT: &policy.JWT{JWKSFile: set, JWKSURL: "http://localhost/"}},
		"no key set file":  {JWT: &policy.JWT{JWKSFile: "testdata/none"}},
		"URL":              {JWT: &policy.JWT{JWKSURL: "ftp://localhost/"}},
		"URL without host": {JWT: &policy.JWT{JWKSURL: "https:///jwks"}},
		"algorithm":        {JWT: &policy.JWT{JWKSFile: set, Algorithms: []string{"none"}}},
		"token header":     {JWT: &policy.JWT{JWKSFile: set, Header: ":"}},
		"leeway":           {JWT: &policy.JWT{JWKSFile: set, Leeway: -1}},
		"refresh":          {JWT: &policy.JWT{JWKSURL: "https://localhost/", Refresh: -1}},
		"trusted header":   {Header: &policy.TrustedHeader{}},
		"tier header":      {Header: &policy.TrustedHeader{ID: "X", Tier: "\n"}},
	} {
		if f, err := identity.New(identity.Config{Identities: ids}); !errors.Is(err, identity.ErrConfig) {
			t.Errorf("%s: New returns %v, %v", name, f, err)
		}
	}
}

// golden compares got with the file testdata/name.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(path, []byte(got), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; go test -update writes it", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got, -update rewrites it):\n%s", path, diff)
	}
}
