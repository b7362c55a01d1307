package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/noriahq/noria/bucket/policy/strict"
)

// The bounds of a policy, besides those of package strict for the file.
const (
	maxNames = 1000 // entries of one mapping
	maxItems = 100  // values of one list
	maxValue = 1000 // bytes of one value
	maxName  = 64   // bytes of one name
	maxWrong = 20   // errors told at once
)

// A decoder reads a file and an environment by tables of fields, and goes on after errors.
type decoder struct {
	file  string
	env   map[string]string
	known map[string]string // every variable there could be, and the field it sets
	lines []func() string   // of the canonical form, once all is read
	wrong []*Error
	quiet bool // what is found now may come from what is wrong already
}

// fail keeps an error at its place.
func (d *decoder) fail(at place, err error) {
	if d.quiet {
		return
	}
	d.wrong = append(d.wrong, &Error{File: d.file, Line: at.line, Column: at.column, Variable: at.variable, Err: err})
}

// failf is fail with a text.
func (d *decoder) failf(at place, format string, args ...any) {
	d.fail(at, fmt.Errorf(format, args...))
}

// startOf returns the place of n.
func startOf(n *strict.Node) place { return place{line: n.Line, column: n.Column} }

// nameOf returns the place of f's name.
func nameOf(f strict.Field) place { return place{line: f.Line, column: f.Column} }

// fields reads n, which path leads to, by the table. n may be nil, where only variables say something.
func (d *decoder) fields(table []field, n *strict.Node, path []string) {
	given := map[string]strict.Field{}
	if n != nil && n.Kind != strict.Empty {
		if n.Kind != strict.Mapping {
			d.failf(startOf(n), "%s is %s, want a mapping", called(path), n.Is())
		}
		for _, f := range n.Fields {
			if !hasField(table, f.Name) {
				d.failf(nameOf(f), "unknown field %s%s", called(append(path, f.Name)), strict.DidYouMean(f.Name, fieldNames(table), "%s"))
			}
			given[f.Name] = f
		}
	}
	for _, f := range table {
		g, ok := given[f.name]
		if ok && g.Value.Kind == strict.Empty {
			if ok = false; f.one != nil || f.many != nil {
				d.failf(nameOf(g), "%s has no value", called(append(path, f.name)))
			}
		}
		if !ok {
			g = strict.Field{}
		}
		d.field(f, g, append(path[:len(path):len(path)], f.name))
	}
}

// field reads one field. given has a nil Value where the file does not have it.
func (d *decoder) field(f field, given strict.Field, path []string) {
	switch {
	case f.one != nil:
		d.one(f, given.Value, path)
	case f.many != nil:
		d.many(f, given.Value, path)
	case f.section != nil:
		table, use := f.section()
		there := given.Value != nil || d.overridden(path)
		switch {
		case there:
			d.whole(table, given.Value, path, func() { use(nameOf(given)) })
		case f.optional:
			d.learn(table, path)
			return
		default: // for what it is by default
			d.fields(table, nil, path)
		}
		d.lines = append(d.lines, func() string { return strings.Join(path, "\x00") })
	case f.entry != nil:
		for _, e := range d.entries(f, given.Value, path) {
			table, done := f.entry(value{text: e.Name, at: nameOf(e)})
			d.whole(table, e.Value, append(path[:len(path):len(path)], e.Name), func() { done(nameOf(e)) })
		}
	case f.put != nil:
		for _, e := range d.entries(f, given.Value, path) {
			put := field{one: func(v value) error { return f.put(e.Name, v) }}
			d.one(put, e.Value, append(path[:len(path):len(path)], e.Name))
		}
		d.line(f, path)
	}
}

// whole reads n by the table and then has it looked at as a whole, which says nothing new where a field was wrong.
func (d *decoder) whole(table []field, n *strict.Node, path []string, look func()) {
	before := len(d.wrong)
	d.fields(table, n, path)
	outer := d.quiet
	d.quiet = outer || len(d.wrong) > before
	look()
	d.quiet = outer
}

// one reads a single value: what the file says, and then what the environment does.
func (d *decoder) one(f field, n *strict.Node, path []string) {
	if n != nil {
		if n.Kind != strict.Scalar {
			d.failf(startOf(n), "%s is %s, want one value", called(path), n.Is())
		} else {
			d.set(f, value{n.Text, startOf(n)}, path)
		}
	}
	if v, ok := d.override(path); ok {
		d.set(f, v, path)
	}
	d.line(f, path)
}

// set sets f to v.
func (d *decoder) set(f field, v value, path []string) {
	err := tooLong(v)
	if err == nil {
		err = f.one(v)
	}
	d.refuse(v, path, err)
}

// many reads a list of values.
func (d *decoder) many(f field, n *strict.Node, path []string) {
	if n != nil {
		items := []*strict.Node{n}
		if n.Kind == strict.List {
			items = n.Items
		}
		var vs []value
		for _, item := range items {
			if item.Kind != strict.Scalar {
				d.failf(startOf(item), "%s is %s, want one value", called(path), item.Is())
				continue
			}
			vs = append(vs, value{item.Text, startOf(item)})
		}
		d.setAll(f, vs, path)
	}
	if v, ok := d.override(path); ok {
		d.setAll(f, split(v), path)
	}
	d.line(f, path)
}

// setAll sets f to vs.
func (d *decoder) setAll(f field, vs []value, path []string) {
	if len(vs) > maxItems {
		d.failf(vs[maxItems].at, "%s has %d values, want at most %d", called(path), len(vs), maxItems)
		return
	}
	for i, v := range vs {
		if err := tooLong(v); err != nil {
			d.refuse(v, path, err)
			vs[i].text = strict.Clip(v.text)
		}
	}
	for i, err := range f.many(vs) {
		d.refuse(vs[i], path, err)
	}
}

// refuse keeps err, of a value for a field, if it is one.
func (d *decoder) refuse(v value, path []string, err error) {
	switch {
	case err == nil:
	case v.at.variable != "":
		d.failf(v.at, "is %q: %w", strict.Clip(v.text), err)
	default:
		d.failf(v.at, "%s is %q: %w", called(path), strict.Clip(v.text), err)
	}
}

// tooLong refuses values of a length that nobody writes.
func tooLong(v value) error {
	if len(v.text) > maxValue {
		return fmt.Errorf("%d bytes, want at most %d", len(v.text), maxValue)
	}
	return nil
}

// entries returns the entries of a mapping by names whose names are good.
func (d *decoder) entries(f field, n *strict.Node, path []string) []strict.Field {
	switch {
	case n == nil:
		return nil
	case n.Kind != strict.Mapping:
		d.failf(startOf(n), "%s is %s, want a mapping with names such as %s", called(path), n.Is(), f.names)
		return nil
	case len(n.Fields) > maxNames:
		d.failf(nameOf(n.Fields[maxNames]), "%s has %d entries, want at most %d", called(path), len(n.Fields), maxNames)
		return nil
	}
	var good []strict.Field
	for _, e := range n.Fields {
		if err := f.goodName(e.Name); err != nil {
			d.failf(nameOf(e), "%s has the name %q: %w", called(path), strict.Clip(e.Name), err)
			continue
		}
		if e.Value.Kind == strict.Empty {
			d.failf(nameOf(e), "%s has no value", called(append(path, e.Name)))
			continue
		}
		good = append(good, e)
	}
	return good
}

// line adds what f was set to to the canonical form.
func (d *decoder) line(f field, path []string) {
	if f.canon != nil {
		d.lines = append(d.lines, func() string { return strings.Join(path, "\x00") + fmt.Sprintf("\x00=%q", f.canon()) })
	}
}

// err returns all that is wrong, in the order of the file; what has no place there comes last.
func (d *decoder) err() error {
	slices.SortStableFunc(d.wrong, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(min(b.Line, 1), min(a.Line, 1)), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if more := len(d.wrong) - maxWrong; more > 0 {
		d.wrong = append(d.wrong[:maxWrong:maxWrong], &Error{File: d.file, Err: fmt.Errorf("and %d more", more)})
	}
	all := make([]error, len(d.wrong))
	for i, err := range d.wrong {
		all[i] = err
	}
	return errors.Join(all...)
}

// called returns what people call the field that path leads to.
func called(path []string) string {
	if len(path) == 0 {
		return "the file"
	}
	return strict.Clip(strings.Join(path, "."))
}

// fieldNames returns the names in the table.
func fieldNames(table []field) []string {
	names := make([]string, len(table))
	for i, f := range table {
		names[i] = f.name
	}
	return names
}

// hasField says whether the table has a field of that name.
func hasField(table []field, name string) bool {
	for _, f := range table {
		if f.name == name {
			return true
		}
	}
	return false
}
