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
	for _, l := range r.Limits {
		amount, tier := l.of(a.Caller)
		if amount == (bucket.Limit{}) {
			continue
		}
		if l.when != nil {
			is, err := l.when.holds(a, r)
			if err != nil {
				undecided = errors.Join(undecided, err)
			} else if !is {
				continue
			}
		}
		m.add(l, amount, tier, a, r)
	}
	return undecided
}

// of returns what l gives to a caller, the zero Limit if it is not for them, and the tier that says so.
func (l *Limit) of(c *Caller) (amount bucket.Limit, tier string) {
	if l.tiers == nil {
		return l.single, ""
	}
	if c != nil {
		if amount, ok := l.tiers[c.Tier]; ok {
			return amount, c.Tier
		}
	}
	return l.tiers[l.other], l.other
}

// add appends a limit with its key: its name, and its parts.
func (m *Met) add(l *Limit, amount bucket.Limit, tier string, a *Attributes, r *Route) {
	m.keys = appendPart(m.keys, plain, l.Name)
	for _, p := range l.parts {
		m.keys = p.append(m.keys, a, r, tier)
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
