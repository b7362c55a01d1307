package rls_test

import (
	"fmt"
	"testing"
	"time"

	typepb "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
)

// A userCase is a behaviour that envoyproxy/ratelimit documents, or one of ours where it says so.
type userCase struct {
	name  string
	rules string // descriptors of the domain d
	steps []step
}

// matching are the cases of what meets which limit.
func matching() []userCase {
	const perIP = "- key: ip\n  rate_limit: {unit: minute, requests_per_unit: 2}\n- key: ip\n  value: 10.0.0.5\n  rate_limit: {unit: minute, requests_per_unit: 0}\n"
	const nested = `
- key: kind
  value: marketing
  descriptors:
    - key: to
      rate_limit: {unit: day, requests_per_unit: 1}
- key: to
  rate_limit: {unit: day, requests_per_unit: 3}
`
	const both = "- key: a\n  rate_limit: {unit: hour, requests_per_unit: 5}\n  descriptors:\n  - {key: b, rate_limit: {unit: hour, requests_per_unit: 3}}\n"
	const files = `
- {key: path, value: /files/big, rate_limit: {unit: hour, requests_per_unit: 1}}
- {key: path, value: /files/*, rate_limit: {unit: hour, requests_per_unit: 2}}
- {key: path, value: /f*, rate_limit: {unit: hour, requests_per_unit: 3}}
- {key: path, value: /users/*/photo, rate_limit: {unit: hour, requests_per_unit: 4}}
- {key: path, rate_limit: {unit: hour, requests_per_unit: 5}}
`
	return []userCase{
		{"a value has its limit and another value none", "- {key: db, value: users, rate_limit: {unit: second, requests_per_unit: 500}}\n", []step{
			{ask: ask(of("db=users")), want: "OK: OK 500/SECOND left 499"},
			{ask: ask(of("db=orders")), want: "OK: OK"},
		}},
		{"a key without a value has a bucket for each value", perIP, []step{
			{ask: ask(of("ip=10.0.0.1")), want: "OK: OK 2/MINUTE left 1"},
			{ask: ask(of("ip=10.0.0.1")), want: "OK: OK 2/MINUTE left 0"},
			{ask: ask(of("ip=10.0.0.1")), want: "OVER: OVER 2/MINUTE left 0"},
			{ask: ask(of("ip=10.0.0.2")), want: "OK: OK 2/MINUTE left 1"},
		}},
		{"key with value comes before key alone, and 0 lets nothing through", perIP, []step{
			{ask: ask(of("ip=10.0.0.5")), want: "OVER: OVER 0/MINUTE left 0", times: 2},
		}},
		{"nested descriptors", nested, []step{
			{ask: ask(of("kind=marketing", "to=1")), want: "OK: OK 1/DAY left 0"},
			{ask: ask(of("kind=marketing", "to=1")), want: "OVER: OVER 1/DAY left 0"},
			{ask: ask(of("kind=marketing", "to=2")), want: "OK: OK 1/DAY left 0"},
			{ask: ask(of("kind=invoice", "to=2")), want: "OK: OK"},
			{ask: ask(of("to=1")), want: "OK: OK 3/DAY left 2"},
		}},
		{"a descriptor that is deeper than the limit does not meet it", both, []step{{ask: ask(of("a=1", "b=1", "c=1"), of("a=1", "c=1")), want: "OK: OK | OK"}}},
		{"a descriptor that is less deep than the limit does not meet it", nested, []step{{ask: ask(of("kind=marketing")), want: "OK: OK"}}},
		{"limits at two depths are apart", both, []step{
			{ask: ask(of("a=1")), want: "OK: OK 5/HOUR left 4"},
			{ask: ask(of("a=1", "b=1")), want: "OK: OK 3/HOUR left 2"},
			{ask: ask(of("a=1")), want: "OK: OK 5/HOUR left 3"},
		}},
		{"the order of entries counts", both, []step{{ask: ask(of("b=1", "a=1")), want: "OK: OK"}}},
		{"capital letters count", perIP, []step{{ask: ask(of("IP=10.0.0.1")), want: "OK: OK"}}},
		{"no entries meet nothing", perIP, []step{{ask: ask(of()), want: "OK: OK"}}},
		{"an empty value is a value", perIP, []step{{ask: ask(of("ip=")), want: "OK: OK 2/MINUTE left 1"}}},
		{"a descriptor without a limit lets all through", "- key: ip\n  rate_limit: {unit: day, requests_per_unit: 1}\n- {key: ip, value: friend}\n", []step{
			{ask: ask(of("ip=friend")), want: "OK: OK", times: 3},
		}},
		{"a value comes before one with *", files, []step{{ask: ask(of("path=/files/big")), want: "OK: OK 1/HOUR left 0"}}},
		{"the first * that fits, and a bucket for each value", files, []step{
			{ask: ask(of("path=/files/a")), want: "OK: OK 2/HOUR left 1"},
			{ask: ask(of("path=/files/b")), want: "OK: OK 2/HOUR left 1"},
			{ask: ask(of("path=/foo")), want: "OK: OK 3/HOUR left 2"},
		}},
		{"* inside a value", files, []step{
			{ask: ask(of("path=/users/7/photo")), want: "OK: OK 4/HOUR left 3"},
			{ask: ask(of("path=/users/7/photos")), want: "OK: OK 5/HOUR left 4"},
		}},
		{"* comes before the key alone", files, []step{{ask: ask(of("path=/")), want: "OK: OK 5/HOUR left 4"}, {ask: ask(of("path=/f")), want: "OK: OK 3/HOUR left 2"}}},
		{"share_threshold: all values have one bucket", "- {key: f, value: files/*, share_threshold: true, rate_limit: {unit: hour, requests_per_unit: 2}}\n", []step{
			{ask: ask(of("f=files/a")), want: "OK: OK 2/HOUR left 1"},
			{ask: ask(of("f=files/b")), want: "OK: OK 2/HOUR left 0"},
			{ask: ask(of("f=files/c")), want: "OVER: OVER 2/HOUR left 0"},
		}},
		{"share_threshold above a limit", "- key: f\n  value: files/*\n  share_threshold: true\n  descriptors:\n  - {key: user, rate_limit: {unit: hour, requests_per_unit: 2}}\n", []step{
			{ask: ask(of("f=files/a", "user=1")), want: "OK: OK 2/HOUR left 1"},
			{ask: ask(of("f=files/b", "user=1")), want: "OK: OK 2/HOUR left 0"},
			{ask: ask(of("f=files/b", "user=2")), want: "OK: OK 2/HOUR left 1"},
		}},
		{"an unknown domain is OK", perIP, []step{{ask: in("other", of("ip=10.0.0.5"), of("x=y")), want: "OK: OK | OK"}}},
		{"an empty domain is an error", perIP, []step{{ask: in("", of("ip=1")), want: "InvalidArgument: bad request: rate limit domain must not be empty"}}},
		{"no descriptors are an error", perIP, []step{{ask: ask(), want: "InvalidArgument: bad request: rate limit descriptor list must not be empty"}}},
	}
}

// counting are the cases of what is charged.
func counting() []userCase {
	const two = "- {key: a, rate_limit: {unit: hour, requests_per_unit: 1}}\n- {key: b, rate_limit: {unit: hour, requests_per_unit: 5}}\n"
	const shadow = "- {key: a, shadow_mode: true, rate_limit: {unit: hour, requests_per_unit: 1}}\n- {key: b, rate_limit: {unit: hour, requests_per_unit: 2}}\n"
	const replaced = `
- key: read
  descriptors:
    - {key: user, rate_limit: {name: reads, unit: hour, requests_per_unit: 5}}
- key: report
  descriptors:
    - {key: user, rate_limit: {name: reports, unit: hour, requests_per_unit: 10, replaces: [{name: reads}]}}
`
	return []userCase{
		{"all descriptors are counted", two, []step{{ask: ask(of("a=1"), of("b=1"), of("c=1")), want: "OK: OK 1/HOUR left 0 | OK 5/HOUR left 4 | OK"}}},
		{"ours: what one denies is charged to none", two, []step{
			{ask: ask(of("b=1"), of("a=1")), want: "OK: OK 5/HOUR left 4 | OK 1/HOUR left 0"},
			{ask: ask(of("b=1"), of("a=1")), want: "OVER: OK 5/HOUR left 4 | OVER 1/HOUR left 0", times: 3},
			{ask: ask(of("b=1")), want: "OK: OK 5/HOUR left 3"},
		}},
		{"ours: what nothing lets through is charged to none", two + "- {key: c, rate_limit: {unit: day, requests_per_unit: 0}}\n", []step{
			{ask: ask(of("b=1"), of("c=1")), want: "OVER: OK 5/HOUR left 5 | OVER 0/DAY left 0", times: 2},
		}},
		{"the same twice counts twice", two, []step{{ask: ask(of("b=1"), of("b=1")), want: "OK: OK 5/HOUR left 4 | OK 5/HOUR left 3"}}},
		{"hits_addend of the request", two, []step{{ask: hits(3, of("b=1")), want: "OK: OK 5/HOUR left 2"}, {ask: hits(3, of("b=1")), want: "OVER: OVER 5/HOUR left 2"}}},
		{"hits_addend 0 of the request is 1", two, []step{{ask: hits(0, of("b=1")), want: "OK: OK 5/HOUR left 4"}}},
		{"hits_addend of a descriptor comes before the request's", two, []step{{ask: hits(5, own(2, of("b=1")), of("b=2")), want: "OK: OK 5/HOUR left 3 | OK 5/HOUR left 0"}}},
		{"hits_addend 0 of a descriptor looks and takes nothing", two, []step{
			{ask: ask(own(0, of("a=1"))), want: "OK: OK 1/HOUR left 1", times: 2},
			{ask: ask(of("a=1")), want: "OK: OK 1/HOUR left 0"},
			{ask: ask(own(0, of("a=1"))), want: "OK: OK 1/HOUR left 0"},
		}},
		{"more hits than the limit has are over it, and take nothing", two, []step{
			{ask: hits(6, of("b=1")), want: "OVER: OVER 5/HOUR left 5"},
			{ask: ask(own(1<<63, of("b=1"))), want: "OVER: OVER 5/HOUR left 5"},
			{ask: hits(5, of("b=1")), want: "OK: OK 5/HOUR left 0"},
		}},
		{"is_negative_hits gives back", two, []step{
			{ask: hits(4, of("b=1")), want: "OK: OK 5/HOUR left 1"},
			{ask: ask(refund(of("b=1"))), want: "OK: OK 5/HOUR left 2"},
			{ask: hits(2, refund(of("b=1"))), want: "OK: OK 5/HOUR left 4"},
			{ask: ask(of("b=1")), want: "OK: OK 5/HOUR left 3"},
		}},
		{"is_negative_hits with hits_addend of its own, of which 0 looks", two, []step{
			{ask: hits(4, of("b=1")), want: "OK: OK 5/HOUR left 1"},
			{ask: hits(9, refund(own(2, of("b=1")))), want: "OK: OK 5/HOUR left 3"},
			{ask: hits(9, refund(own(0, of("b=1")))), want: "OK: OK 5/HOUR left 3"},
		}},
		{"ours: no more comes back than the limit has", two, []step{
			{ask: ask(of("b=1")), want: "OK: OK 5/HOUR left 4"},
			{ask: ask(refund(own(1<<63, of("b=1")))), want: "OK: OK 5/HOUR left 5"},
			{ask: hits(6, of("b=1")), want: "OVER: OVER 5/HOUR left 5"},
		}},
		{"what was refused is there again after a refund", two, []step{
			{ask: ask(of("a=1")), want: "OK: OK 1/HOUR left 0"},
			{ask: ask(of("a=1")), want: "OVER: OVER 1/HOUR left 0", times: 2},
			{ask: ask(refund(of("a=1"))), want: "OK: OK 1/HOUR left 1"},
			{ask: ask(of("a=1")), want: "OK: OK 1/HOUR left 0"},
		}},
		{"one descriptor gives back and another takes", two, []step{
			{ask: hits(3, of("b=1")), want: "OK: OK 5/HOUR left 2"},
			{ask: ask(of("a=1"), refund(of("b=1"))), want: "OK: OK 1/HOUR left 0 | OK 5/HOUR left 3"},
			{ask: ask(of("a=1"), refund(of("b=1"))), want: "OVER: OVER 1/HOUR left 0 | OK 5/HOUR left 3", times: 2},
		}},
		{"is_negative_hits where there is no limit, or none that lets anything through", "- {key: a, rate_limit: {unlimited: true}}\n- {key: z, rate_limit: {unit: day, requests_per_unit: 0}}\n", []step{
			{ask: ask(refund(of("a=1")), refund(of("x=1")), refund(of("z=1"))), want: "OK: OK left 4294967295 | OK | OK 0/DAY left 0"},
		}},
		{"unlimited has all there is", "- {key: a, rate_limit: {unlimited: true}}\n", []step{{ask: hits(1e9, of("a=1")), want: "OK: OK left 4294967295", times: 2}}},
		{"shadow_mode is OK when it is over", shadow, []step{
			{ask: ask(of("a=1")), want: "OK: OK 1/HOUR left 0", times: 3},
			{ask: hits(7, of("a=2")), want: "OK: OK 1/HOUR left 1"},
		}},
		{"ours: shadow_mode that is over keeps the others from nothing", shadow, []step{
			{ask: ask(of("a=1"), of("b=1")), want: "OK: OK 1/HOUR left 0 | OK 2/HOUR left 1"},
			{ask: ask(of("a=1"), of("b=1")), want: "OK: OK 1/HOUR left 0 | OK 2/HOUR left 0"},
			{ask: ask(of("a=1"), of("b=1")), want: "OVER: OK 1/HOUR left 0 | OVER 2/HOUR left 0"},
		}},
		{"ours: shadow_mode is not charged for what another denies", shadow, []step{
			{ask: hits(2, of("b=1")), want: "OK: OK 2/HOUR left 0"},
			{ask: ask(of("a=1"), of("b=1")), want: "OVER: OK 1/HOUR left 1 | OVER 2/HOUR left 0", times: 2},
			{ask: ask(of("a=1")), want: "OK: OK 1/HOUR left 0"},
		}},
		{"a limit that is replaced does not count", replaced, []step{
			{ask: ask(of("read=1", "user=u")), want: "OK: OK reads 5/HOUR left 4"},
			{ask: ask(of("read=1", "user=u"), of("report=1", "user=u")), want: "OK: OK | OK reports 10/HOUR left 9"},
			{ask: ask(of("read=1", "user=u")), want: "OK: OK reads 5/HOUR left 3"},
		}},
	}
}

// limits are the cases of how much a limit is.
func limits() []userCase {
	const one = "- {key: a, rate_limit: {name: one, unit: hour, requests_per_unit: 1}}\n"
	return []userCase{
		{"a request may bring a limit", one, []step{
			{ask: ask(over(2, typepb.RateLimitUnit_DAY, of("a=1"))), want: "OK: OK 2/DAY left 1"},
			{ask: ask(over(2, typepb.RateLimitUnit_DAY, of("x=1", "y=1"))), want: "OK: OK 2/DAY left 1"},
			{ask: ask(of("a=1")), want: "OK: OK one 1/HOUR left 0"},
		}},
		{"of several units", one, []step{{ask: ask(every(15, over(2, typepb.RateLimitUnit_MINUTE, of("a=1")))), want: "OK: OK 2/15MINUTE left 1"}}},
		{"of no requests", one, []step{{ask: ask(over(0, typepb.RateLimitUnit_DAY, of("a=1"))), want: "OVER: OVER 0/DAY left 0"}}},
		{"of no unit is an error", one, []step{{
			ask:  ask(over(1, typepb.RateLimitUnit_UNKNOWN, of("a=1"))),
			want: "InvalidArgument: descriptors[0].limit: bad limit: the unit of the rate limit is unknown; want second, minute, hour, day, week, month or year",
		}}},
		{"of too many requests is an error", one, []step{{
			ask:  ask(of("a=1"), over(4e9, typepb.RateLimitUnit_DAY, of("a=1"))),
			want: "InvalidArgument: descriptors[1].limit: bad limit: 4000000000 requests per unit; want at most 1000000000",
		}}},
		{"in an unknown domain it is none", one, []step{{ask: in("other", over(0, typepb.RateLimitUnit_DAY, of("a=1"))), want: "OK: OK"}}},
		{"shadow_mode is not that of the limit that it stands for", "- {key: a, shadow_mode: true, rate_limit: {unit: hour, requests_per_unit: 1}}\n", []step{
			{ask: ask(over(1, typepb.RateLimitUnit_HOUR, of("a=1"))), want: "OK: OK 1/HOUR left 0"},
			{ask: ask(over(1, typepb.RateLimitUnit_HOUR, of("a=1"))), want: "OVER: OVER 1/HOUR left 0"},
		}},
		{"all units", "- {key: s, rate_limit: {unit: second, requests_per_unit: 1}}\n- {key: m, rate_limit: {unit: Minute, requests_per_unit: 1}}\n" +
			"- {key: d, rate_limit: {unit: day, requests_per_unit: 1}}\n- {key: w, rate_limit: {unit: WEEK, requests_per_unit: 1}}\n" +
			"- {key: mo, rate_limit: {unit: month, requests_per_unit: 1}}\n- {key: y, rate_limit: {unit: year, requests_per_unit: 1}}\n", []step{
			{
				ask:  ask(of("s=1"), of("m=1"), of("d=1"), of("w=1"), of("mo=1"), of("y=1")),
				want: "OK: OK 1/SECOND left 0 | OK 1/MINUTE left 0 | OK 1/DAY left 0 | OK 1/WEEK left 0 | OK 1/MONTH left 0 | OK 1/YEAR left 0",
			},
		}},
		{"ours: a bucket fills steadily", "- {key: a, rate_limit: {unit: minute, requests_per_unit: 6}}\n", []step{
			{ask: hits(6, of("a=1")), want: "OK: OK 6/MINUTE left 0"},
			{ask: ask(of("a=1")), want: "OVER: OVER 6/MINUTE left 0"},
			{sleep: 10 * time.Second},
			{ask: ask(of("a=1")), want: "OK: OK 6/MINUTE left 0"},
			{ask: ask(of("a=1")), want: "OVER: OVER 6/MINUTE left 0"},
			{sleep: time.Hour},
			{ask: ask(of("a=1")), want: "OK: OK 6/MINUTE left 5"},
		}},
	}
}

// What envoyproxy/ratelimit documents is so here, over gRPC and at a real node. Each case has a domain of its own.
func TestCases(t *testing.T) {
	for name, cases := range map[string][]userCase{"matching": matching(), "counting": counting(), "limits": limits()} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				r := newRig(t, clustertest.Start(t, "a").Node("a"), "domain: d\n")
				for i, c := range cases {
					domain := fmt.Sprintf("d%d", i)
					r.Use(rules(t, "domain: "+domain+"\ndescriptors:\n"+c.rules))
					for _, s := range c.steps {
						if s.ask.GetDomain() == "d" {
							s.ask.Domain = domain
						}
					}
					r.what = c.name
					r.run(c.steps)
				}
			})
		})
	}
}

// run asks what steps ask and checks what is answered.
func (r *rig) run(steps []step) {
	r.t.Helper()
	for i, s := range steps {
		if s.ask == nil {
			time.Sleep(s.sleep)
			continue
		}
		for range max(1, s.times) {
			if got := r.ask(s.ask); got != s.want {
				r.t.Errorf("%s: step %d is answered\n%s\nwant\n%s", r.what, i, got, s.want)
			}
		}
	}
}
