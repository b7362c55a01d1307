package policy

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/noriahq/noria/bucket"
)

// meets returns what a request of a meets on the policy's first route, as lines of a limit, its amount and its key.
func meets(t testing.TB, p *Policy, a Attributes) []string {
	t.Helper()
	var m Met
	if err := p.Routes[0].Meet(&a, &m); err != nil {
		t.Fatal(err)
	}
	keys := m.Keys(nil)
	lines := make([]string, m.Len())
	for i := range lines {
		lines[i] = fmt.Sprintf("%s %v %s", m.Limit(i).Name, m.Bucket(i), keys[i])
	}
	return lines
}

// layers are three limits as most have them.
const layers = `
limits:
  ip: {key: client.ip, limit: 50/s}
  user: {key: identity.id, tiers: {free: 1/s, pro: 10/s, vip: unlimited}}
  global: {limit: 500/s}
routes:
  all: {limits: [ip, user, global]}
`

// A request meets the limits of its route under keys of its own, with the amount for its tier.
func TestMeet(t *testing.T) {
	p := parsed(t, layers, nil)
	ip := netip.MustParseAddr("10.1.2.3")
	for name, c := range map[string]struct {
		a    Attributes
		want []string
	}{
		"pro": {Attributes{ClientIP: ip, Caller: &Caller{ID: "ann", Tier: "pro"}}, []string{
			"ip 50/s 2:ip8:10.1.2.3", "user 10/s 4:user3:ann", "global 500/s 6:global",
		}},
		"unlimited": {Attributes{ClientIP: ip, Caller: &Caller{ID: "ann", Tier: "vip"}}, []string{
			"ip 50/s 2:ip8:10.1.2.3", "global 500/s 6:global",
		}},
		"unknown tier": {Attributes{ClientIP: ip, Caller: &Caller{ID: "ann", Tier: "pr0"}}, []string{
			"ip 50/s 2:ip8:10.1.2.3", "user 1/s 4:user3:ann", "global 500/s 6:global",
		}},
		"anonymous": {Attributes{ClientIP: ip, Caller: &Caller{Tier: "anonymous", Anonymous: true}}, []string{
			"ip 50/s 2:ip8:10.1.2.3", "user 1/s 4:user8@10.1.2.3", "global 500/s 6:global",
		}},
		"nobody": {Attributes{ClientIP: ip}, []string{
			"ip 50/s 2:ip8:10.1.2.3", "user 1/s 4:user8@10.1.2.3", "global 500/s 6:global",
		}},
		"nobody from nowhere": {Attributes{}, []string{
			"ip 50/s 2:ip0-", "user 1/s 4:user0-", "global 500/s 6:global",
		}},
		"nobody at all": {Attributes{Caller: &Caller{Anonymous: true}}, []string{
			"ip 50/s 2:ip0-", "user 1/s 4:user0-", "global 500/s 6:global",
		}},
	} {
		if diff := cmp.Diff(c.want, meets(t, p, c.a)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Each part of a key is what its name says, and something stands in for what is not there.
func TestParts(t *testing.T) {
	full := Attributes{
		ClientIP: netip.MustParseAddr("2001:db8::"), Host: "API.example.com:443", Method: "POST", Path: "/v1/../v1//chat/", Model: "gpt-4",
		Header: http.Header{"X-Api-Key": {"secret"}},
		Caller: &Caller{ID: "ann", Tier: "pro", Org: "acme", Attributes: map[string]string{"team": "red"}},
	}
	long := strings.Repeat("x", 49)
	for part, want := range map[string][2]string{ // with everything, and with an address alone
		"client.ip":                {"12:2001:db8:1::", "12:2001:db8:1::"},
		"identity.id":              {"3:ann", "12@2001:db8:1::"},
		"identity.tier":            {"3:pro", "9:anonymous"},
		"identity.org":             {"4:acme", "12@2001:db8:1::"},
		"identity.attributes.team": {"3:red", "12@2001:db8:1::"},
		"identity.attributes.none": {"12@2001:db8:1::", "12@2001:db8:1::"},
		"header.x-api-key":         {"43#K7gNU3sdo-OL0wNhqoVWhr3g6s1xYv72ol_pe_Unols", "12@2001:db8:1::"},
		"header.none":              {"12@2001:db8:1::", "12@2001:db8:1::"},
		"host":                     {"15:api.example.com", "0:"},
		"method":                   {"4:POST", "0:"},
		"path":                     {"8:/v1/chat", "1:/"},
		"route":                    {"1:r", "1:r"},
		"model":                    {"5:gpt-4", "0:"},
		"const.a:b":                {"3:a:b", "3:a:b"},
		"const." + long:            {"43#", "43#"},
	} {
		p := parsed(t, fmt.Sprintf("limits: {l: {key: [%q], limit: 1/s}}\nroutes: {r: {limits: l}}", part), nil)
		for i, a := range []Attributes{full, {}} {
			a.ClientIP = netip.MustParseAddr("2001:db8:1::")
			got := strings.TrimPrefix(meets(t, p, a)[0], "l 1/s 1:l")
			if got != want[i] && (want[i] != "43#" || !strings.HasPrefix(got, want[i])) {
				t.Errorf("%s of request %d is %q, want %q", part, i, got, want[i])
			}
		}
	}
}

// Limits by tiers whose key does not tell callers apart have a bucket for each tier that answers: one bucket cannot have two limits.
func TestTierIsInTheKey(t *testing.T) {
	p := parsed(t, "limits: {l: {key: client.ip, tiers: {free: 1/s, pro: 2/s}}}\nroutes: {r: {limits: l}}", nil)
	for tier, want := range map[string]string{"pro": "l 2/s 1:l0-3:pro", "free": "l 1/s 1:l0-4:free", "made-up": "l 1/s 1:l0-4:free"} {
		if got := meets(t, p, Attributes{Caller: &Caller{ID: "a", Tier: tier}}); !slices.Equal(got, []string{want}) {
			t.Errorf("tier %s meets %q, want %q", tier, got, want)
		}
	}
}

// Who has no identity has the tier for that, whoever says that there is none.
func TestAnonymousTier(t *testing.T) {
	p := parsed(t, "identities: {anonymous_tier: pro}\nlimits: {l: {key: identity.tier, tiers: {free: 1/s, pro: 2/s}, when: identity.tier == 'pro'}}\nroutes: {r: {limits: l}}", nil)
	for _, c := range []*Caller{nil, {Anonymous: true}, {Anonymous: true, Tier: "pro"}, {ID: "a", Tier: "pro"}} {
		if got := meets(t, p, Attributes{Caller: c}); !slices.Equal(got, []string{"l 2/s 1:l3:pro"}) {
			t.Errorf("caller %+v meets %q", c, got)
		}
	}
	if got := meets(t, p, Attributes{Caller: &Caller{ID: "a"}}); len(got) > 0 {
		t.Errorf("a caller without a tier, which is not anonymous, meets %q", got)
	}
}

// A tier that nobody named has the default, or the strictest that there is.
func TestStrictest(t *testing.T) {
	for tiers, want := range map[string]string{
		"{a: 10/s, b: 20/s}":                                                   "10/s",
		"{a: 10/s burst 5, b: 10/s burst 4}":                                   "10/s burst 4",
		"{a: 10/s, b: 599/m}":                                                  "599/m",
		"{a: 1000000000/s, b: 1/s, c: 1/m burst 1000, d: 61/h}":                "1/m burst 1000",
		"{a: 1/d, b: quota 1000000}":                                           "quota 1000000",
		"{a: quota 5, b: quota 4, c: unlimited}":                               "quota 4",
		"{a: quota 100 per day, b: quota 100 per hour, c: quota 799 per week}": "quota 100 per day",
		"{a: quota 100 per month, b: quota 100 per year}":                      "quota 100 per year",
		"{a: window 60 per 1m, b: 1/s queue 5, c: 1/s burst 60 queue 1}":       "1/s queue 5",
		"{a: 1/s, default: 100/s}":                                             "100/s",
	} {
		p := parsed(t, "limits: {l: {key: identity.id, tiers: "+tiers+"}}\nroutes: {r: {limits: l}}", nil)
		if got := meets(t, p, Attributes{Caller: &Caller{ID: "x", Tier: "?"}}); !slices.Equal(got, []string{"l " + want + " 1:l1:x"}) {
			t.Errorf("an unknown tier of %s meets %q, want %s", tiers, got, want)
		}
	}
}

// Conditions see all attributes, what is not there is empty, and one that cannot be decided counts as true.
func TestWhen(t *testing.T) {
	a := Attributes{
		ClientIP: netip.MustParseAddr("10.1.2.3"), Host: "A:80", Method: "POST", Path: "/v1//x", Model: "gpt-4o",
		Header: http.Header{"X-Priority": {"low", "high"}},
		Caller: &Caller{ID: "ann", Tier: "pro", Org: "acme", Attributes: map[string]string{"beta": "yes"}},
	}
	for when, want := range map[string]bool{
		`client.ip == "10.1.2.3"`: true, `identity.id == "ann"`: true, `identity.tier in ["pro", "max"]`: true,
		`identity.org != "acme"`: false, `identity.anonymous`: false, `identity.attributes["beta"] == "yes"`: true,
		`identity.attributes.beta == "yes"`: true, `identity.attributes["gamma"] == ""`: true, `"gamma" in identity.attributes`: false,
		`header["x-priority"] == "low, high"`: true, `header["X-Priority"] == ""`: true, `header["none"] != ""`: false, `"x-priority" in header`: true,
		`host == "a"`: true, `method == "POST"`: true, `path == "/v1/x"`: true, `route == "r"`: true, `model.startsWith("gpt-")`: true,
		`model.matches("^gpt-[0-9]+o$")`: true, `size(path) > 100`: false, `true`: true, `false`: false,
	} {
		p := parsed(t, fmt.Sprintf("limits: {l: {limit: 1/s, when: '%s'}}\nroutes: {r: {limits: l}}", when), nil)
		if got := meets(t, p, a); (len(got) == 1) != want {
			t.Errorf("when %s: meets %q, want %v", when, got, want)
		}
	}
	nobody := parsed(t, "limits: {l: {limit: 1/s, when: identity.anonymous && client.ip == ''}}\nroutes: {r: {limits: l}}", nil)
	if got := meets(t, nobody, Attributes{}); len(got) != 1 {
		t.Errorf("nobody meets %q", got)
	}
	for _, when := range []string{`1 / (size(path) - 5) == 1`, `"aaaaaaaaaaaaaaaa".matches(model + model + model) && [1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, [1,2,3,4,5,6,7,8,9,10].all(d, a+b+c+d > 0))))`} {
		p := parsed(t, fmt.Sprintf("limits: {l: {limit: 1/s, when: '%s'}, m: {limit: 2/s}}\nroutes: {r: {limits: [l, m]}}", when), nil)
		var m Met
		b := a
		b.Model = "a*"
		if err := p.Routes[0].Meet(&b, &m); err == nil || m.Len() != 2 {
			t.Errorf("when %s: %d limits, %v, want 2 and why it cannot be decided", when, m.Len(), err)
		}
	}
}

// No two lists of values have one key, whatever they are made of, and every key is one that buckets take.
func TestKeysDiffer(t *testing.T) {
	text := rapid.OneOf(rapid.StringMatching(`[0-9]{0,2}[:#@-][a-z0-9:#@.-]{0,4}`), rapid.String(), rapid.StringN(45, 55, -1),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 60), func(b []byte) string { return string(b) }))
	address := rapid.SampledFrom([]netip.Addr{{}, netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fe80::1%" + strings.Repeat("e", 100))})
	values := rapid.Custom(func(t *rapid.T) Attributes {
		a := Attributes{ClientIP: address.Draw(t, "address"), Host: "h", Method: text.Draw(t, "method"), Model: text.Draw(t, "model"), Path: "/"}
		a.Header = http.Header{"X-A": rapid.SliceOfN(text, 0, 2).Draw(t, "header")}
		if rapid.Bool().Draw(t, "known") {
			a.Caller = &Caller{ID: text.Draw(t, "id"), Org: text.Draw(t, "org"), Tier: text.Draw(t, "tier"), Anonymous: rapid.Bool().Draw(t, "anonymous")}
		}
		return a
	})
	bare := func(ip netip.Addr) netip.Addr { return ip.WithZone("") }
	seen := func(a Attributes) []string { // what the parts are, in words
		by := func(s string) string {
			if s == "" {
				return fmt.Sprintf("address %v", bare(a.ClientIP))
			}
			return fmt.Sprintf("value %q", s)
		}
		var header, id, org, tier string
		if h := a.Header["X-A"]; len(h) == 1 {
			header = h[0]
		}
		tier = "anonymous"
		if a.Caller != nil {
			org = a.Caller.Org
			if !a.Caller.Anonymous || a.Caller.Tier != "" {
				tier = a.Caller.Tier
			}
			if !a.Caller.Anonymous {
				id = a.Caller.ID
			}
		}
		return []string{fmt.Sprintf("%q", a.Method), by(header), by(id), tier, fmt.Sprint(bare(a.ClientIP)), by(org), fmt.Sprintf("%q", a.Model)}
	}
	p := parsed(t, "limits: {l: {key: [method, model, header.X-A, identity.id, identity.tier, client.ip, identity.org], limit: 1/s}}\nroutes: {r: {limits: l}}", nil)
	rapid.Check(t, func(t *rapid.T) {
		a, b := values.Draw(t, "a"), values.Draw(t, "b")
		near(t, &a, &b)
		var m Met
		for _, one := range []*Attributes{&a, &b} {
			if err := p.Routes[0].Meet(one, &m); err != nil {
				t.Fatal(err)
			}
		}
		keys := m.Keys(nil)
		for _, key := range keys {
			if err := bucket.CheckKey(key); err != nil {
				t.Fatalf("key %q: %v", key, err)
			}
		}
		if same := slices.Equal(seen(a), seen(b)); same != (keys[0] == keys[1]) {
			t.Fatalf("keys are %q and %q of\n%q\n%q", keys[0], keys[1], seen(a), seen(b))
		}
	})
}

// near makes of two requests ones that a careless key would take for each other.
func near(t *rapid.T, a, b *Attributes) {
	way := rapid.IntRange(0, 6).Draw(t, "near")
	if way > 0 {
		*b = *a
	}
	switch way {
	case 1: // the same texts, parted elsewhere
		s := a.Method + ":" + a.Model
		at := rapid.SampledFrom(indices(s, ':')).Draw(t, "at")
		b.Method, b.Model = s[:at], s[at+1:]
	case 2: // somebody calls himself what stands in for nobody
		a.Caller, b.Caller = nil, &Caller{ID: a.ClientIP.String(), Tier: anonymousTier}
	case 3: // the hash of a long text, as a text
		a.Method += strings.Repeat("x", maxPlain)
		sum := sha256.Sum256([]byte(a.Method))
		b.Method = base64.RawURLEncoding.EncodeToString(sum[:])
	case 4: // the same name, once as nobody's
		id := "x" + a.Method
		a.Caller, b.Caller = &Caller{ID: id, Tier: "t"}, &Caller{ID: id, Tier: "t", Anonymous: true}
	case 5: // a header a second time
		a.Header, b.Header = http.Header{"X-A": {"x"}}, http.Header{"X-A": {"x", "y"}}
	case 6: // parts that change places
		b.Method, b.Model = a.Model, a.Method
	}
}

// indices returns where c is in s.
func indices(s string, c byte) []int {
	var all []int
	for i := range len(s) {
		if s[i] == c {
			all = append(all, i)
		}
	}
	return all
}

// The longest key that a policy can make is one that buckets take.
func TestLongestKey(t *testing.T) {
	long := strings.Repeat("x", maxPlain)
	p := parsed(t, fmt.Sprintf("limits: {%s: {key: [%s], tiers: {%s: 1/s}}}\nroutes: {r: {limits: %[1]s}}",
		long, strings.TrimSuffix(strings.Repeat("const."+long+", ", maxParts), ", "), long), nil)
	var m Met
	if err := p.Routes[0].Meet(&Attributes{}, &m); err != nil {
		t.Fatal(err)
	}
	key := m.Keys(nil)[0]
	if err := bucket.CheckKey(key); err != nil || len(key) < 400 {
		t.Errorf("key has %d bytes: %v", len(key), err)
	}
}

// A request without conditions costs one allocation, that of its keys.
func TestMeetDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	p, a := sample(t)
	var m Met
	var keys []string
	if got := testing.AllocsPerRun(1000, func() {
		m.Reset()
		r := p.Route(a.Host, a.Method, a.Path)
		if err := r.Meet(&a, &m); err != nil || m.Len() != 4 {
			t.Fatalf("%d limits, %v", m.Len(), err)
		}
	}); got != 0 {
		t.Errorf("%v allocations, want none", got)
	}
	if got := testing.AllocsPerRun(1000, func() { keys = m.Keys(keys[:0]) }); got != 1 {
		t.Errorf("%v allocations of keys, want 1", got)
	}
}

// sample returns a policy of four limits and a request that meets them.
func sample(t testing.TB) (*Policy, Attributes) {
	p := parsed(t, `
limits:
  ip: {key: client.ip, limit: 50/s}
  user: {key: [identity.id, header.X-Team], tiers: {free: 1/s, pro: 10/s}}
  org: {key: [identity.org, path, model], tiers: {free: 1/s, default: quota 5 per day in Europe/Berlin}}
  global: {key: [route, host], limit: 500/s}
routes:
  chat: {hosts: [api.example.com], path: /v1, methods: [POST], limits: [ip, user, org, global]}
  rest: {}
  below: {hosts: ["*.example.com"]}
`, nil)
	return p, Attributes{
		ClientIP: netip.MustParseAddr("2001:db8:1:2::"), Caller: &Caller{ID: "ann", Tier: "pro", Org: "acme"}, Host: "api.example.com:8443",
		Method: "POST", Path: "/v1/chat/completions", Model: "gpt-4o", Header: http.Header{"X-Team": {strings.Repeat("red", 1000)}},
	}
}

func BenchmarkMeet(b *testing.B) {
	p, a := sample(b)
	a.Header = http.Header{"X-Team": {"red"}}
	var m Met
	var keys []string
	b.ReportAllocs()
	for b.Loop() {
		m.Reset()
		if err := p.Route(a.Host, a.Method, a.Path).Meet(&a, &m); err != nil {
			b.Fatal(err)
		}
		keys = m.Keys(keys[:0])
	}
}

// One limit with a condition.
func BenchmarkWhen(b *testing.B) {
	p := parsed(b, `limits: {l: {limit: 1/s, when: 'identity.tier == "pro" && path.startsWith("/v1")'}}`+"\nroutes: {r: {limits: l}}", nil)
	_, a := sample(b)
	var m Met
	b.ReportAllocs()
	for b.Loop() {
		m.Reset()
		if err := p.Routes[0].Meet(&a, &m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	text := testdata(b, "full.yaml")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("noria.yaml", text, nil); err != nil {
			b.Fatal(err)
		}
	}
}
