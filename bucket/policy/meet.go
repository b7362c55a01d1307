package policy

import (
	"errors"
	"strings"

	"github.com/noriahq/noria/bucket"
)

// Route returns the route of a request, nil for none. A route for the host itself goes before one for those below a domain,
// the longest of which goes first, and that before one for all hosts; then the longest path, then one that names methods.
//
// The host may have a port, which does not matter. The path is that of a URL, decoded; it is cleaned for the comparison.
func (p *Policy) Route(host, method, path string) *Route { return p.table.find(host, method, path) }

// Meet appends the limits that a request with these attributes meets on r to m, with their keys. It allocates nothing once
// m has grown, but for conditions.
//
// A condition that cannot be decided, because it asks for a header that is not there for instance, counts as true: the
// error says so, and m is whole all the same.
func (r *Route) Meet(a *Attributes, m *Met) error {
	var undecided error
	q := request{Attributes: a, route: r}
	for _, l := range r.Limits {
		q.tier = tierOf(a.Caller, l.anonymous)
		amount, granted := l.of(q.tier)
		if amount == (bucket.Limit{}) {
			continue
		}
		if l.when != nil {
			is, err := l.when.holds(q)
			if err != nil {
				undecided = errors.Join(undecided, err)
			} else if !is {
				continue
			}
		}
		q.granted = granted
		m.add(l, amount, &q)
	}
	return undecided
}

// A request is what keys and conditions are made of.
type request struct {
	*Attributes
	route   *Route
	tier    string // of the caller
	granted string // the one in tiers that answers for it
}

// tierOf returns the tier of a caller, which is anonymous where there is none.
func tierOf(c *Caller, anonymous string) string {
	if c == nil || c.Anonymous && c.Tier == "" {
		return anonymous
	}
	return c.Tier
}

// of returns what l gives to a tier, the zero Limit if it is not for it, and the tier that says so.
func (l *Limit) of(tier string) (amount bucket.Limit, granted string) {
	if l.tiers == nil {
		return l.single, ""
	}
	if amount, ok := l.tiers[tier]; ok {
		return amount, tier
	}
	return l.tiers[l.other], l.other
}

// add appends a limit with its key: its name, and its parts.
func (m *Met) add(l *Limit, amount bucket.Limit, q *request) {
	m.keys = appendPart(m.keys, plain, l.Name)
	for _, p := range l.parts {
		m.keys = p.append(m.keys, q)
	}
	m.met = append(m.met, met{limit: l, bucket: amount, end: len(m.keys)})
}

// Weigh returns the weights of a model's tokens.
func (l *LLM) Weigh(model string) Weights {
	if w, ok := l.Weights[model]; ok && model != defaultTier {
		return w
	}
	best, most := Weights{PlainWeight, PlainWeight, PlainWeight}, -1
	if w, ok := l.Weights[defaultTier]; ok {
		best = w
	}
	for name, w := range l.Weights {
		if begin, ok := strings.CutSuffix(name, "*"); ok && len(begin) > most && strings.HasPrefix(model, begin) {
			best, most = w, len(begin)
		}
	}
	return best
}
