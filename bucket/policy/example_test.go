package policy_test

import (
	"fmt"
	"net/http"
	"net/netip"

	"github.com/noriahq/noria/bucket/policy"
)

// Three layers of protection are three limits on a route.
func Example() {
	p, err := policy.Parse("noria.yaml", []byte(`
limits:
  ip: {key: client.ip, limit: 50/s burst 100}
  user: {key: identity.id, tiers: {free: 20/m, pro: 600/m}}
  global: {limit: 500/s}
routes:
  chat: {path: /v1, limits: [ip, user, global], upstreams: http://127.0.0.1:9000}
`), map[string]string{"NORIA_LIMITS_USER_TIERS_PRO": "900/m"})
	if err != nil {
		fmt.Println(err)
		return
	}
	route := p.Route("api.example.com", "POST", "/v1/chat/completions")
	var met policy.Met
	err = route.Meet(&policy.Attributes{
		ClientIP: netip.MustParseAddr("203.0.113.7"),
		Caller:   &policy.Caller{ID: "ann", Tier: "pro"},
		Header:   http.Header{},
		Method:   "POST", Path: "/v1/chat/completions",
	}, &met)
	for i, key := range met.Keys(nil) {
		fmt.Println(met.Limit(i).Name, met.Bucket(i), key)
	}
	fmt.Println(err)
	// Output:
	// ip 50/s burst 100 2:ip11:203.0.113.7
	// user 900/m 4:user3:ann
	// global 500/s 6:global
	// <nil>
}

// Errors come all at once, at their places.
func ExampleParse_errors() {
	_, err := policy.Parse("noria.yaml", []byte(`
limits:
  user: {key: identity.di, limit: 100}
  global: {limit: 500/s, unit: requets}
`), nil)
	fmt.Println(err)
	// Output:
	// noria.yaml:3:15: limits.user.key is "identity.di": want client.ip, identity.id, identity.tier, identity.org, host, method, path, route, model, header.NAME, identity.attributes.NAME or const.TEXT, did you mean identity.id?
	// noria.yaml:3:35: limits.user.limit is "100": bad limit "100": column 4: found the end, want "/" and a period, such as "100/s"
	// noria.yaml:4:32: limits.global.unit is "requets": want requests, llm_tokens, concurrency or bytes, did you mean "requests"?
}
