package descriptors

import (
	"slices"

	"github.com/noriahq/noria/bucket/policy/strict"
)

// A draft is a descriptor of the file while it is read.
type draft struct {
	step
	rule     Rule
	limited  bool // has a rate_limit
	detailed bool // detailed_metric
	key      *strict.Node
	value    *strict.Node
	limit    *strict.Node
	below    *strict.Node
	share    *strict.Node
}

// level reads the list of descriptors n, to which the steps above lead, into l.
func (d *decoder) level(n *strict.Node, l *level, above []step) {
	for _, item := range d.items(n, "descriptors") {
		one := d.descriptor(item)
		if one.step.key == "" {
			continue
		}
		path := append(slices.Clip(above), one.step)
		made := &node{}
		if one.limited {
			made.rule = d.finish(&one, path)
		}
		if one.below != nil {
			if len(one.below.Items) > 0 {
				made.below = &level{}
				d.level(one.below, made.below, path)
			} else {
				d.items(one.below, "descriptors")
			}
		}
		if !l.put(one.step, made) {
			d.failf(one.key, "descriptor %s stands here twice", strict.Clip(one.step.text()))
		}
	}
}

// text is s as errors call it.
func (s step) text() string {
	if s.value == "" {
		return s.key
	}
	return s.key + " with the value " + s.value
}

// put puts n, to which s leads, into l, and says whether it is the first there.
func (l *level) put(s step, n *node) bool {
	switch {
	case s.value == "":
		if l.bare == nil {
			l.bare = map[string]*node{}
		}
		_, twice := l.bare[s.key]
		l.bare[s.key] = n
		return !twice
	case isWild(s.value):
		twice := slices.ContainsFunc(l.globs, func(g glob) bool { return g.key == s.key && g.pattern == s.value })
		l.globs = append(l.globs, glob{key: s.key, pattern: s.value, to: n})
		return !twice
	default:
		if l.exact == nil {
			l.exact = map[Entry]*node{}
		}
		e := Entry{s.key, s.value}
		_, twice := l.exact[e]
		l.exact[e] = n
		return !twice
	}
}

// descriptor reads one descriptor, without those below it.
func (d *decoder) descriptor(n *strict.Node) draft {
	var one draft
	if n.Kind == strict.Empty {
		d.failf(n, "a descriptor is empty, want a mapping with a key")
		return one
	}
	keep := func(to **strict.Node, then func(*strict.Node)) func(*strict.Node) {
		return func(n *strict.Node) { *to = n; then(n) }
	}
	yes := func(name string, to *bool) func(*strict.Node) {
		return func(n *strict.Node) { value(d, n, name, to, strict.YesNo) }
	}
	d.fields(n, "a descriptor", map[string]func(*strict.Node){
		"key":             keep(&one.key, func(n *strict.Node) { value(d, n, "key", &one.step.key, strict.Text) }),
		"value":           keep(&one.value, func(n *strict.Node) { value(d, n, "value", &one.step.value, anyText) }),
		"rate_limit":      keep(&one.limit, func(n *strict.Node) { d.rateLimit(n, &one) }),
		"descriptors":     keep(&one.below, func(*strict.Node) {}),
		"shadow_mode":     yes("shadow_mode", &one.rule.Shadow),
		"quota_mode":      yes("quota_mode", &one.rule.Quota),
		"detailed_metric": yes("detailed_metric", &one.detailed),
		"value_to_metric": yes("value_to_metric", &one.told),
		"share_threshold": keep(&one.share, yes("share_threshold", &one.shared)),
		"metadata":        func(n *strict.Node) { one.rule.Metadata = d.metadata(n) },
	})
	if n.Kind == strict.Mapping && one.key == nil {
		d.failf(n, "a descriptor has no key")
	}
	if one.shared && !isWild(one.step.value) {
		d.failf(one.share, "share_threshold shares what values with * have: want such a value beside it")
		one.shared = false
	}
	return one
}

// anyText takes any text.
func anyText(s string) (string, error) { return s, nil }

// finish returns the rule of one, to which path leads.
func (d *decoder) finish(one *draft, path []step) *Rule {
	r := &one.rule
	r.domain, r.path = d.domain.Name, slices.Clone(path)
	if one.detailed {
		for i := range r.path {
			r.path[i].told = true
		}
	}
	r.metric = r.called(nil)
	for _, s := range r.path {
		r.varies = r.varies || s.told && !s.shared && (s.value == "" || isWild(s.value))
	}
	d.rules++
	if !r.Unlimited && r.Unit != NoUnit {
		var err error
		if r.Bucket, err = r.Limit.Bucket(d.domain.Algorithm); err != nil {
			d.failf(one.limit, "rate_limit: %w", err)
		}
	}
	return r
}
