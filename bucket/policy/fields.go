package policy

import "strings"

// A Field is one that a policy file may have.
type Field struct {
	// Path leads to it: limits.NAME.tiers.TIER. Names in capitals stand for any.
	Path string

	// Variable is the environment variable that overrides it, with the same names in capitals.
	Variable string

	Kind    string // what its values are: limit, duration, word, ...
	List    bool   // whether it takes several
	Default string // "" for none
	Usage   string // one sentence for people, without a full stop
}

// Fields returns all fields that have values, in the order of the tables that Parse reads files by.
func Fields() []Field {
	a := &draft{decoder: &decoder{}, policy: &Policy{}}
	return flat(a.fields(), nil)
}

// flat returns the fields of the table that path leads to, and of those in it.
func flat(table []field, path []string) []Field {
	var all []Field
	for _, f := range table {
		at := append(path[:len(path):len(path)], f.name)
		switch {
		case f.section != nil:
			inner, _ := f.section()
			all = append(all, flat(inner, at)...)
			continue
		case f.entry != nil:
			inner, _ := f.entry(value{text: f.names})
			all = append(all, flat(inner, append(at, f.names))...)
			continue
		case f.put != nil:
			at = append(at, f.names)
		}
		all = append(all, Field{
			Path: strings.Join(at, "."), Variable: variable(at), Kind: f.form.kind, List: f.many != nil, Default: f.byDef, Usage: usageOf(f),
		})
	}
	return all
}

// usageOf returns what people are told of f, with all the words that it takes.
func usageOf(f field) string {
	if len(f.form.words) == 0 {
		return f.usage
	}
	return f.usage + ": " + strings.Join(f.form.words, ", ")
}
