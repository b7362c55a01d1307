package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/google/cel-go/cel"
	"golang.org/x/net/http/httpguts"

	"github.com/noriahq/noria/bucket/policy/strict"
)

// A draft is a policy that is being read.
type draft struct {
	*decoder
	policy *Policy
	limits map[string]*Limit
	header place            // of identities.header
	asked  []asked          // by routes
	routes []*Route         // in which nothing was wrong
	begins map[*Route]place // where routes begin
	words  *cel.Env         // of conditions; nil until there is one
}

// asked is a name of a limit in a route.
type asked struct {
	by   *Route
	name value
}

// fields is the table of the top of the file.
func (a *draft) fields() []field {
	p := a.policy
	return []field{
		list("trusted_proxies", "networks whose word on a client's address, and on a caller's identity, is believed: 10.0.0.0/8",
			form{kind: "network"}, &p.TrustedProxies, "", network),
		scalar("ipv6_bits", "how many bits of an IPv6 address are one client",
			wholes(32, 128), &p.IPv6Bits, "64", strict.Whole(32, 128)),
		{
			name: "identities", usage: "who a caller is", section: func() ([]field, func(place)) {
				p.Identities = Identities{}
				return a.identities(&p.Identities), func(place) {}
			},
		},
		{
			name: "limits", usage: "limits by name, which answers tell", names: "NAME", goodName: isName,
			entry: func(name value) ([]field, func(place)) {
				l := &Limit{Name: name.text}
				p.Limits = append(p.Limits, l)
				if a.limits == nil {
					a.limits = map[string]*Limit{}
				}
				a.limits[l.Name] = l
				return a.limit(l)
			},
		},
		{
			name: "routes", usage: "routes by name", names: "NAME", goodName: isName,
			entry: func(name value) ([]field, func(place)) {
				r := &Route{Name: name.text}
				p.Routes = append(p.Routes, r)
				if a.begins == nil {
					a.begins = map[*Route]place{}
				}
				a.begins[r] = name.at
				return a.route(r)
			},
		},
	}
}

// finish checks what concerns several sections, and makes the tables that requests are looked up in.
func (a *draft) finish() {
	for _, ask := range a.asked {
		a.meet(ask)
	}
	p := a.policy
	if p.Identities.Header != nil && len(p.TrustedProxies) == 0 {
		a.fail(a.header, errors.New("identities.header is believed from trusted_proxies only, want at least one network there"))
	}
	if p.Identities.AnonymousTier == "" {
		p.Identities.AnonymousTier = anonymousTier
	}
	for _, l := range p.Limits {
		l.anonymous = p.Identities.AnonymousTier
	}
	for _, r := range a.routes {
		if err := p.table.add(r); err != nil {
			a.fail(a.begins[r], err)
		}
	}
	p.table.sort()
}

// meet adds the limit that a route asks for to it.
func (a *draft) meet(ask asked) {
	path := []string{"routes", ask.by.Name, "limits"}
	l := a.limits[ask.name.text]
	if l == nil {
		var names []string
		for _, l := range a.policy.Limits {
			names = append(names, l.Name)
		}
		a.refuse(ask.name, path, fmt.Errorf("there is no limit of that name%s", strict.DidYouMean(ask.name.text, names, "%s")))
		return
	}
	for _, have := range ask.by.Limits {
		if have == l {
			a.refuse(ask.name, path, errors.New("it is here a second time, want it once"))
			return
		}
	}
	if l.Unit == LLMTokens && ask.by.Kind == HTTP {
		a.refuse(ask.name, path, errors.New("it counts llm_tokens, which only routes of kind openai or anthropic have"))
		return
	}
	ask.by.Limits = append(ask.by.Limits, l)
}

// wholes is the form of whole numbers.
func wholes(least, most int64) form {
	return form{kind: "number", whole: true, least: least, most: most}
}

// network reads a network or one address.
func network(s string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(s); err == nil && ip.Zone() == "" {
		ip = ip.Unmap()
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, errors.New("want a network such as 10.0.0.0/8 or fd00::/8, or an address")
	}
	if p.Masked() != p {
		return netip.Prefix{}, fmt.Errorf("has bits behind its length, want %s", p.Masked())
	}
	return p, nil
}

// isName says whether s can be the name of a limit or a route. "degraded-" is what answers put before a limit's name.
func isName(s string) error {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	switch {
	case s == "" || len(s) > maxPlain || strings.Trim(s, letters+"_-") != "" || strings.IndexAny(s, "_-") == 0:
		return fmt.Errorf("want 1 to %d letters, digits, _ and -, the first a letter or digit", maxPlain)
	case strings.HasPrefix(s, "degraded-"):
		return errors.New("want one that does not begin with degraded-: answers say that of a limit whose holder was lost")
	}
	return nil
}

// isLabel says whether s can be the name of a tier or a model.
func isLabel(s string) error {
	if s == "" || len(s) > maxName || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }) {
		return fmt.Errorf("want 1 to %d bytes of text without control characters", maxName)
	}
	return nil
}

// headerName reads the name of a header.
func headerName(s string) (string, error) {
	if !httpguts.ValidHeaderFieldName(s) || len(s) > 128 {
		return "", errors.New("want a header's name such as X-Api-Key")
	}
	name := canonicalHeader(s)
	if name == "Host" {
		return "", errors.New("the host says where a request goes and not who sends it")
	}
	return name, nil
}
