package descriptors

import (
	"github.com/noriahq/noria/bucket"
)

// Rules are the limits of all domains. They do not change, and are safe for concurrent use.
type Rules struct {
	domains map[string]*Domain
	rules   int
}

// Domain returns the domain with this name, nil if there is none. Nil Rules have none.
func (r *Rules) Domain(name string) *Domain {
	if r == nil {
		return nil
	}
	return r.domains[name]
}

// Count returns how many domains there are, and how many limits they have together.
func (r *Rules) Count() (domains, limits int) { return len(r.domains), r.rules }

// A Domain is the limits of one name, apart from those of all others.
type Domain struct {
	Name      string
	Algorithm Algorithm
	top       *level
}

// An Algorithm says how requests are counted.
type Algorithm uint8

// The algorithms.
const (
	TokenBucket Algorithm = iota // requests_per_unit fill a bucket of that size steadily; the default
	FixedWindow                  // requests_per_unit at the begin of each unit, since the Unix epoch, as Envoy's ratelimit counts
)

// An Entry is one pair of a descriptor.
type Entry struct{ Key, Value string }

// A Rule is a limit of a domain.
type Rule struct {
	Limit
	Name      string         // by which others replace it; "" for none
	Replaces  []string       // names of rules that do not count where this one is met, too
	Unlimited bool           // always OK; Limit is the zero value
	Shadow    bool           // decides, and is OK whatever comes of it
	Quota     bool           // as Shadow, and dynamic metadata tell of it
	Metadata  map[string]any // for dynamic metadata: string, float64, bool, nil, []any and map[string]any; nil for none
	Bucket    bucket.Limit   // that Limit stands for; the zero value if it lets nothing through or is unlimited

	domain string
	path   []step // one for each entry
	metric string // its name, unless values of entries are in it
	varies bool   // they are
}

// A step is a descriptor on the way to a Rule.
type step struct {
	key, value string // as the file has them; value "" for any
	shared     bool   // all values that fit are the same
	told       bool   // metrics have the value of the entry
}

// A level is the descriptors that stand beside each other.
type level struct {
	exact map[Entry]*node
	globs []glob // in the order of the file
	bare  map[string]*node
}

// A glob is a descriptor whose value has a *.
type glob struct {
	key, pattern string
	to           *node
}

// A node is a descriptor of the file.
type node struct {
	rule  *Rule  // nil for none
	below *level // nil for none
}

// next returns where e leads to, nil if nowhere.
func (l *level) next(e Entry) *node {
	if n := l.exact[e]; n != nil {
		return n
	}
	for i := range l.globs {
		if g := &l.globs[i]; g.key == e.Key && fits(g.pattern, e.Value) {
			return g.to
		}
	}
	return l.bare[e.Key]
}

// Match returns the rule that entries meet, nil if there is none.
func (d *Domain) Match(entries []Entry) *Rule {
	at := d.top
	for i, e := range entries {
		if at == nil {
			return nil
		}
		n := at.next(e)
		if n == nil {
			return nil
		}
		if i == len(entries)-1 {
			return n.rule
		}
		at = n.below
	}
	return nil
}
