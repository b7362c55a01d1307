package policy

import (
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"

	"github.com/noriahq/noria/bucket/policy/strict"
)

// others has another value for every field than the full file, and which limit it is for where that matters.
func others() map[string][2]string {
	return map[string][2]string{
		"trusted_proxies": {"10.0.0.0/9"}, "ipv6_bits": {"56"},
		"identities.keys.file": {"/x"}, "identities.keys.header": {"X-Other"},
		"identities.jwt.header": {"X-Token"}, "identities.jwt.jwks_file": {"/x"}, "identities.jwt.jwks_url": {"http://x"},
		"identities.jwt.refresh": {"6m"}, "identities.jwt.issuer": {"x"}, "identities.jwt.audience": {"x,y"}, "identities.jwt.algorithms": {"HS256"},
		"identities.jwt.id_claim": {"x"}, "identities.jwt.tier_claim": {"x"}, "identities.jwt.org_claim": {"x"}, "identities.jwt.leeway": {"1s"},
		"identities.header.id": {"X-X"}, "identities.header.tier": {"X-X"}, "identities.header.org": {"X-X"}, "identities.anonymous_tier": {"x"},
		"limits.NAME.unit": {"bytes", "ip"}, "limits.NAME.key": {"identity.id, model", "user"}, "limits.NAME.limit": {"1/s", "ip"},
		"limits.NAME.tiers.TIER": {"900/m", "user"}, "limits.NAME.on_lost": {"deny", "user"}, "limits.NAME.durability": {"none", "user"},
		"limits.NAME.cold_start": {"empty", "user"}, "limits.NAME.shadow": {"true", "user"}, "limits.NAME.when": {"true", "user"},
		"routes.NAME.kind": {"anthropic"}, "routes.NAME.hosts": {"x.com"}, "routes.NAME.path": {"/v2"}, "routes.NAME.methods": {"PUT"},
		"routes.NAME.upstreams": {"http://a, http://b"}, "routes.NAME.limits": {"ip"}, "routes.NAME.headers.HEADER": {"Bearer other"}, "routes.NAME.retries": {"2"}, "routes.NAME.timeout": {"2s"},
		"routes.NAME.read_timeout": {"2s"}, "routes.NAME.idle_timeout": {"2s"}, "routes.NAME.max_header": {"16KiB"}, "routes.NAME.max_body": {"1MiB"},
		"routes.NAME.health.path": {"/x"}, "routes.NAME.health.interval": {"3s"}, "routes.NAME.health.timeout": {"3s"},
		"routes.NAME.queue.wait": {"3s"}, "routes.NAME.queue.requests": {"3"}, "routes.NAME.llm.default_max_tokens": {"3"},
		"routes.NAME.llm.chars_per_token": {"3"}, "routes.NAME.llm.tokenizer": {"o200k"},
		"routes.NAME.llm.weights.MODEL.input": {"3"}, "routes.NAME.llm.weights.MODEL.output": {"3"}, "routes.NAME.llm.weights.MODEL.cached": {"3"},
	}
}

// Every field can be overridden by the variable that Fields names, with the same effect as another file; and what a policy
// does differs then, so its hash does.
func TestEveryFieldHasAVariable(t *testing.T) {
	full := string(testdata(t, "full.yaml"))
	plainHash := parsed(t, full, nil).Hash
	values := others()
	hashes := map[uint64]string{plainHash: "the file as it is"}
	for _, f := range Fields() {
		v, ok := values[f.Path]
		if !ok {
			t.Errorf("%s has no value in this test", f.Path)
			continue
		}
		delete(values, f.Path)
		path := strings.Split(f.Path, ".")
		if want := variable(path); f.Variable != want {
			t.Errorf("%s has the variable %s, want %s", f.Path, f.Variable, want)
		}
		for i, part := range path {
			switch {
			case part == "NAME" && path[0] == "limits":
				path[i] = v[1]
			case part == "NAME":
				path[i] = "chat"
			case part == "TIER":
				path[i] = "pro"
			case part == "HEADER":
				path[i] = "Authorization"
			case part == "MODEL":
				path[i] = "default"
			}
		}
		name := variable(path)
		text := full
		if f.Path == "identities.jwt.jwks_file" {
			text = strings.Replace(text, "jwks_url:", "#", 1)
		}
		p, err := Parse("noria.yaml", []byte(text), map[string]string{name: v[0]})
		if err != nil {
			t.Errorf("%s=%s: %v", name, v[0], err)
			continue
		}
		if same := hashes[p.Hash]; same != "" {
			t.Errorf("%s=%s has the hash of %s", name, v[0], same)
		}
		hashes[p.Hash] = name
		if _, err := Parse("noria.yaml", []byte(text), map[string]string{name: "\x00"}); err == nil && f.Kind != "text" && f.Kind != "path" && f.Kind != "claim" {
			t.Errorf("%s is not read: it may be anything", name)
		}
	}
	for path := range values {
		t.Errorf("there is no field %s", path)
	}
}

// An override has the effect of the same value in the file.
func TestOverrideIsLikeTheFile(t *testing.T) {
	full := string(testdata(t, "full.yaml"))
	for env, edit := range map[string][2]string{
		"NORIA_LIMITS_USER_TIERS_PRO=900/m":                       {"600/m burst 100", "900/m"},
		"NORIA_ROUTES_CHAT_UPSTREAMS=http://a, http://b":          {"[http://10.1.0.1:8000, http://10.1.0.2:8000]", "[http://a, http://b]"},
		"NORIA_ROUTES_CHAT_LLM_WEIGHTS_GPT_4__OUTPUT=20":          {"output: 30", "output: 20"},
		"NORIA_ROUTES_CHAT_LIMITS=ip":                             {"[ip, user, global, tokens, slots]", "ip"},
		"NORIA_TRUSTED_PROXIES=::1":                               {"[10.0.0.0/8, fd00::/8]", "[::1]"},
		"NORIA_LIMITS_SLOTS_TIERS_FREE=3":                         {"free: 2,", "free: 3,"},
		"NORIA_IDENTITIES_JWT_AUDIENCE=":                          {"", ""},
		"NORIA_IDENTITIES_JWT_ALGORITHMS=EdDSA,ES256,RS256,ES256": {"", ""},
	} {
		name, v, _ := strings.Cut(env, "=")
		got, want := parsed(t, full, map[string]string{name: v}), parsed(t, strings.Replace(full, edit[0], edit[1], 1), nil)
		if got.Hash != want.Hash {
			t.Errorf("%s is not like the file with %s", env, edit[1])
		}
	}
	p := parsed(t, "", map[string]string{"NORIA_IDENTITIES_KEYS_FILE": "/x"})
	if p.Identities.Keys == nil || p.Identities.Keys.File != "/x" {
		t.Errorf("a section that only the environment has is %+v", p.Identities.Keys)
	}
}

// Variables of others are none of ours, even where they look like ours.
func TestOtherVariables(t *testing.T) {
	env := map[string]string{"NORIA_IPV6_BIT": "x", "NORIA_LIMITS_FOO": "x", "NORIA_NODE_NAME": "a", "PATH": "/bin", "NORIA_SERVICE_PORT": "1"}
	if _, err := Parse("f", nil, env, "NORIA_IPV6_BIT", "NORIA_LIMITS_FOO"); err != nil {
		t.Error(err)
	}
	_, err := Parse("f", nil, env)
	if err == nil || !strings.Contains(err.Error(), "NORIA_IPV6_BIT: ") || !strings.Contains(err.Error(), "NORIA_LIMITS_FOO: ") {
		t.Errorf("Parse: %v", err)
	}
}

// The hash does not change with what does not matter, and it is the same on every machine.
func TestHash(t *testing.T) {
	a := parsed(t, "limits:\n  a: {limit: 60/60s, key: client.ip}\n  b: {limit: 1/s}\nroutes:\n  r: {limits: [a, b]}\n", nil)
	for _, text := range []string{
		"# another order\nroutes:\n  r:\n    limits:\n      - a\n      - b\nlimits:\n  b: {limit: '1/s'}\n  a: {key: [client.ip], limit: 60/m burst 60}\n",
		"limits:\n  a: {limit: 60/m, key: client.ip, unit: requests, on_lost: share, shadow: no}\n  b: {limit: 1/s}\nroutes:\n  r: {path: /, timeout: 60s, max_body: 10485760, limits: [a, b]}\n",
		"ipv6_bits: 64\nidentities: {anonymous_tier: anonymous}\nlimits:\n  a: {limit: 60/m, key: client.ip}\n  b: {limit: 1/s}\nroutes:\n  r: {limits: [a, b], queue: {wait: 30s}, health: {}}\n",
	} {
		text = strings.ReplaceAll(text, "shadow: no", "shadow: false")
		if b := parsed(t, text, nil); a.Hash != b.Hash {
			t.Errorf("hash of\n%s\nis %x, want %x", text, b.Hash, a.Hash)
		}
	}
	if b := parsed(t, "limits:\n  a: {limit: 60/m, key: client.ip}\n  b: {limit: 1/s}\nroutes:\n  r: {limits: [b, a]}\n", nil); a.Hash == b.Hash {
		t.Error("the order of a route's limits, which says which one answers tell, is not in the hash")
	}
	golden(t, "testdata/hash.txt", hexOf(parsed(t, string(testdata(t, "full.yaml")), nil).Hash)+"\n")
}

// hexOf returns a hash as people read it.
func hexOf(h uint64) string {
	const digits = "0123456789abcdef"
	var b [16]byte
	for i := range b {
		b[15-i] = digits[h>>(4*i)&15]
	}
	return string(b[:])
}

// Defaults are values that the fields take.
func TestDefaultsAreValid(t *testing.T) {
	var visit func([]field)
	visit = func(table []field) {
		for _, f := range table {
			switch {
			case f.section != nil:
				inner, _ := f.section()
				visit(inner)
			case f.entry != nil:
				inner, _ := f.entry(value{text: "x"})
				visit(inner)
			case f.one != nil && f.byDef != "":
				if err := f.one(value{text: f.byDef}); err != nil {
					t.Errorf("the default %q of %s is not valid: %v", f.byDef, f.name, err)
				}
			case f.many != nil && f.byDef != "":
				for _, err := range f.many(split(value{text: f.byDef})) {
					if err != nil {
						t.Errorf("the default %q of %s is not valid: %v", f.byDef, f.name, err)
					}
				}
			}
		}
	}
	visit((&draft{decoder: &decoder{}, policy: &Policy{}}).fields())
}

// The package comment shows the full file, which has every field.
func TestDocumentation(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil {
		t.Fatal(err)
	}
	full := string(testdata(t, "full.yaml"))
	var shown strings.Builder
	for line := range strings.Lines(full) {
		if strings.TrimSpace(line) != "" {
			line = "\t" + line
		}
		shown.WriteString(line)
	}
	if !strings.Contains(file.Doc.Text(), shown.String()) {
		t.Error("doc.go does not show testdata/full.yaml as it is")
	}
	root, err := strict.Parse([]byte(full))
	if err != nil {
		t.Fatal(err)
	}
	there := paths(root, nil)
	for _, f := range Fields() {
		if !slices.ContainsFunc(there, func(path []string) bool { return fits(f.Path, path) }) && f.Path != "identities.jwt.jwks_file" {
			t.Errorf("testdata/full.yaml has no %s", f.Path)
		}
	}
}

// paths returns the paths to all values in n.
func paths(n *strict.Node, path []string) [][]string {
	if n.Kind != strict.Mapping {
		return [][]string{path}
	}
	var all [][]string
	for _, f := range n.Fields {
		all = append(all, paths(f.Value, append(path[:len(path):len(path)], f.Name))...)
	}
	return all
}

// fits says whether path is one of those that the pattern, with names in capitals, stands for.
func fits(pattern string, path []string) bool {
	parts := strings.Split(pattern, ".")
	return slices.EqualFunc(parts, path, func(a, b string) bool { return a == b || a == strings.ToUpper(a) })
}
