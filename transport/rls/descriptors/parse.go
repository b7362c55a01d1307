package descriptors

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/noriahq/noria/bucket/policy/strict"
)

// A File is a file of a configuration: at most strict.MaxText bytes.
type File struct {
	Name string // for errors
	Text []byte
}

// An Error is something wrong in a file.
type Error struct {
	File         string
	Line, Column int // from 1; 0 where it has no place
	Err          error
}

// Error implements error.
func (e *Error) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("%s:%d:%d: %v", e.File, e.Line, e.Column, e.Err)
	}
	return fmt.Sprintf("%s: %v", e.File, e.Err)
}

// Unwrap returns what is wrong.
func (e *Error) Unwrap() error { return e.Err }

// maxWrong is how many errors are told at once.
const maxWrong = 20

// Parse reads a configuration. The error joins all that is wrong, at most 20 things, each an *Error; then there are no
// rules. No files are rules without a domain.
func Parse(files ...File) (*Rules, error) {
	var (
		rules = &Rules{domains: map[string]*Domain{}}
		from  = map[string]string{} // domains and their files
		wrong []error
	)
	for _, f := range files {
		d := &decoder{file: f.Name}
		domain, at := d.read(f.Text)
		if before, ok := from[domain.Name]; ok && domain.Name != "" {
			d.failf(at, "domain %q is in %s, too: want one file for each domain", strict.Clip(domain.Name), before)
		}
		from[domain.Name], rules.domains[domain.Name] = f.Name, domain
		rules.rules += d.rules
		wrong = append(wrong, d.wrong...)
	}
	if more := len(wrong) - maxWrong; more > 0 {
		wrong = append(wrong[:maxWrong], fmt.Errorf("and %d more", more))
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	return rules, nil
}

// A decoder reads one file and goes on after errors.
type decoder struct {
	file   string
	domain *Domain
	rules  int
	wrong  []error
}

// failf keeps an error at the place of n.
func (d *decoder) failf(n *strict.Node, format string, args ...any) {
	d.wrong = append(d.wrong, &Error{File: d.file, Line: n.Line, Column: n.Column, Err: fmt.Errorf(format, args...)})
}

// read reads the file. It returns where the domain's name stands, too.
func (d *decoder) read(text []byte) (*Domain, *strict.Node) {
	d.domain = &Domain{top: &level{}}
	root, err := strict.Parse(text)
	if err != nil {
		d.unreadable(err)
		return d.domain, &strict.Node{}
	}
	name := root
	d.fields(root, "the file", map[string]func(*strict.Node){
		"domain": func(n *strict.Node) {
			name = n
			value(d, n, "domain", &d.domain.Name, strict.Text)
		},
		"algorithm": func(n *strict.Node) {
			var word string
			value(d, n, "algorithm", &word, strict.Choice("token_bucket", "fixed_window"))
			if word == "fixed_window" {
				d.domain.Algorithm = FixedWindow
			}
		},
		"descriptors": func(*strict.Node) {}, // once the algorithm is known
	})
	if name == root && root.Kind != strict.List && root.Kind != strict.Scalar {
		d.failf(root, "domain is missing: want the name under which Envoy asks")
	}
	if list := field(root, "descriptors"); list != nil {
		d.level(list, d.domain.top, nil)
	}
	return d.domain, name
}

// unreadable keeps the errors of package strict.
func (d *decoder) unreadable(err error) {
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	for _, err := range all {
		at := &strict.Error{Err: err}
		errors.As(err, &at)
		d.wrong = append(d.wrong, &Error{File: d.file, Line: at.Line, Column: at.Column, Err: at.Err})
	}
}

// fields hands the fields of n, which what names, to those who read them.
func (d *decoder) fields(n *strict.Node, what string, readers map[string]func(*strict.Node)) {
	if n.Kind != strict.Mapping {
		if n.Kind != strict.Empty {
			d.failf(n, "%s is %s, want a mapping", what, n.Is())
		}
		return
	}
	for _, f := range n.Fields {
		if read := readers[f.Name]; read != nil {
			read(f.Value)
			continue
		}
		d.failf(&strict.Node{Line: f.Line, Column: f.Column}, "unknown field %s in %s%s",
			strict.Clip(f.Name), what, strict.DidYouMean(f.Name, slices.Sorted(maps.Keys(readers)), "%s"))
	}
}

// field returns what n has under the name, nil if nothing.
func field(n *strict.Node, name string) *strict.Node {
	for _, f := range n.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return nil
}

// value reads the single value n of the field called name into to.
func value[T any](d *decoder, n *strict.Node, name string, to *T, parse func(string) (T, error)) {
	if n.Kind != strict.Scalar {
		d.failf(n, "%s is %s, want one value", name, n.Is())
		return
	}
	read, err := parse(n.Text)
	if err != nil {
		d.failf(n, "%s is %q: %w", name, strict.Clip(n.Text), err)
		return
	}
	*to = read
}

// items returns the entries of the list n of the field called name.
func (d *decoder) items(n *strict.Node, name string) []*strict.Node {
	if n.Kind != strict.List && n.Kind != strict.Empty {
		d.failf(n, "%s is %s, want a list", name, n.Is())
	}
	return n.Items
}

// isWild says whether a value stands for several.
func isWild(value string) bool { return strings.Contains(value, wild) }
