package descriptors

import (
	"fmt"
	"slices"

	"github.com/noriahq/noria/bucket/policy/strict"
)

// rateLimit reads a rate_limit.
func (d *decoder) rateLimit(n *strict.Node, one *draft) {
	one.limited = true
	r := &one.rule
	var per *strict.Node
	keep := func(then func(*strict.Node)) func(*strict.Node) {
		return func(n *strict.Node) { per = n; then(n) }
	}
	before := len(d.wrong)
	if n.Kind == strict.Empty {
		d.failf(n, "rate_limit is empty, want unit and requests_per_unit, or unlimited: true")
		return
	}
	d.fields(n, "rate_limit", map[string]func(*strict.Node){
		"unit":              keep(func(n *strict.Node) { value(d, n, "unit", &r.Unit, parseUnit) }),
		"requests_per_unit": keep(func(n *strict.Node) { value(d, n, "requests_per_unit", &r.Requests, parseRequests) }),
		"unlimited":         func(n *strict.Node) { value(d, n, "unlimited", &r.Unlimited, strict.YesNo) },
		"name":              func(n *strict.Node) { value(d, n, "name", &r.Name, anyText) },
		"replaces":          func(n *strict.Node) { d.replaces(n, r) },
	})
	switch {
	case len(d.wrong) > before:
	case r.Unlimited && per != nil:
		d.failf(per, "unit and requests_per_unit say nothing beside unlimited: want one of them")
	case !r.Unlimited && field(n, "unit") == nil:
		d.failf(n, "rate_limit has no unit: want second, minute, hour, day, week, month or year, or unlimited: true")
	case !r.Unlimited && field(n, "requests_per_unit") == nil:
		d.failf(n, "rate_limit has no requests_per_unit: want a whole number, 0 to let nothing through")
	case r.Name != "" && slices.Contains(r.Replaces, r.Name):
		d.failf(field(n, "replaces"), "%q replaces itself", strict.Clip(r.Name))
	}
}

// replaces reads the names of the limits that r replaces.
func (d *decoder) replaces(n *strict.Node, r *Rule) {
	for _, item := range d.items(n, "replaces") {
		name := ""
		d.fields(item, "replaces", map[string]func(*strict.Node){
			"name": func(n *strict.Node) { value(d, n, "name", &name, strict.Text) },
		})
		if field(item, "name") == nil && (item.Kind == strict.Mapping || item.Kind == strict.Empty) {
			d.failf(item, "replaces has an entry without the name of a limit")
		}
		r.Replaces = append(r.Replaces, name)
	}
}

// parseUnit reads a unit.
func parseUnit(s string) (Unit, error) {
	words := units()[1:]
	word, err := strict.Choice(words...)(s)
	if err != nil {
		return NoUnit, err
	}
	return Unit(slices.Index(words, word) + 1), nil
}

// parseRequests reads a requests_per_unit.
func parseRequests(s string) (uint32, error) {
	n, err := strict.Whole[int64](0, MaxRequests)(s)
	if err != nil {
		return 0, fmt.Errorf("%w; unlimited: true lets all through", err)
	}
	return uint32(n), nil
}
