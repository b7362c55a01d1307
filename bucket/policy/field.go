package policy

import (
	"fmt"
	"strings"
)

// A place is where a value stands.
type place struct {
	line, column int
	variable     string // "" for the file
}

// A value is a text and where it stands.
type value struct {
	text string
	at   place
}

// A field is one that a policy file may have, bound to what it sets. The tables of fields are the only list of what there is:
// files and variables are read by them, and the schema and the list for people are made from them.
type field struct {
	name  string
	usage string // for people: one sentence without a full stop
	byDef string // what it is without being set, as it would be written; "" for nothing
	form  form

	one  func(value) error     // sets a single value
	many func([]value) []error // sets a list of values; an error may be nil

	section  func() (fields []field, use func(at place))         // a mapping of its own; use is called once it is read, if there is one
	optional bool                                                // whether a section that is not there is different from one of all defaults
	entry    func(name value) (fields []field, done func(place)) // a mapping of names to mappings
	put      func(name string, v value) error                    // a mapping of names to single values
	names    string                                              // what the names are called, for the two above: TIER
	goodName func(string) error                                  // whether it can be one of them
	canon    func() string                                       // of one, many and put: what was set, one text for each meaning
}

// A form is what a value looks like, for the schema.
type form struct {
	kind    string   // what people call it: word, duration, limit, ...
	words   []string // all there are; nil for any text
	whole   bool     // numbers need no quotes
	boolean bool
	least   int64 // of whole numbers
	most    int64 // of whole numbers
	pattern string
}

// scalar returns the field of one value, which parse reads into to; byDef is read at once.
func scalar[T any](name, usage string, f form, to *T, byDef string, parse func(string) (T, error)) field {
	if byDef != "" {
		if parsed, err := parse(byDef); err == nil { // a test sets every default again
			*to = parsed
		}
	}
	return field{
		name: name, usage: usage, byDef: byDef, form: f,
		one: func(v value) error {
			parsed, err := parse(v.text)
			if err == nil {
				*to = parsed
			}
			return err
		},
		canon: func() string { return fmt.Sprint(*to) },
	}
}

// list returns the field of several values, each read by parse into to.
func list[T any](name, usage string, f form, to *[]T, byDef string, parse func(string) (T, error)) field {
	read := func(vs []value) (all []T, wrong []error) {
		for _, v := range vs {
			parsed, err := parse(v.text)
			if err == nil {
				all = append(all, parsed)
			}
			wrong = append(wrong, err)
		}
		return all, wrong
	}
	if byDef != "" {
		*to, _ = read(split(value{text: byDef}))
	}
	return field{
		name: name, usage: usage, byDef: byDef, form: f,
		many: func(vs []value) (wrong []error) {
			*to, wrong = read(vs)
			return wrong
		},
		canon: func() string {
			texts := make([]string, len(*to))
			for i, v := range *to {
				texts[i] = fmt.Sprint(v)
			}
			return fmt.Sprintf("%q", texts)
		},
	}
}

// split returns the parts of v between commas.
func split(v value) []value {
	var all []value
	for part := range strings.SplitSeq(v.text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			all = append(all, value{text: part, at: v.at})
		}
	}
	return all
}
