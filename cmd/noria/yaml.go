package main

import (
	"errors"
	"slices"

	"github.com/noriahq/noria/bucket/nearest"
	"github.com/noriahq/noria/bucket/policy"
	"github.com/noriahq/noria/bucket/policy/strict"
)

// A setting is a field of a configuration file and what it is set to.
type setting struct {
	field  string   // section and name: listen.api
	values []string // just one unless it is written as a list
	line   int      // of the value, from 1
	column int
}

// parseFile returns the settings of the YAML in b, a mapping of sections, each a mapping of fields to values or lists of
// them; and apart from them the sections that policies have, nil if there are none. The error joins all that is wrong.
func parseFile(b []byte) (all []setting, rules *strict.Node, err error) {
	root, err := strict.Parse(b)
	if err != nil {
		return nil, nil, err
	}
	sections, err := mapping(root, "the file")
	if err != nil {
		return nil, nil, err
	}
	var wrong []error
	for _, s := range sections {
		if slices.Contains(policy.Sections(), s.Name) {
			if rules == nil {
				rules = &strict.Node{Kind: strict.Mapping, Line: root.Line, Column: root.Column}
			}
			rules.Fields = append(rules.Fields, s)
			continue
		}
		fields, err := sectionOf(s)
		all, wrong = append(all, fields...), append(wrong, err)
	}
	return all, rules, errors.Join(wrong...)
}

// mapping returns the fields of n, which what names. All of it may be commented out.
func mapping(n *strict.Node, what string) ([]strict.Field, error) {
	if n.Kind != strict.Mapping && n.Kind != strict.Empty {
		return nil, n.Errorf("%s is %s, want a mapping such as\n  listen:\n    api: 127.0.0.1:8083", what, n.Is())
	}
	return n.Fields, nil
}

// sectionOf returns the fields of the section s.
func sectionOf(s strict.Field) ([]setting, error) {
	if near := nearest.To(s.Name, policy.Sections(), 3); near != "" {
		return nil, s.Errorf("unknown section %s, did you mean %s?", strict.Clip(s.Name), near)
	}
	entries, err := mapping(s.Value, "section "+strict.Clip(s.Name))
	if err != nil {
		return nil, err
	}
	var wrong []error
	fields := make([]setting, 0, len(entries))
	for _, f := range entries {
		one := setting{field: s.Name + "." + f.Name, line: f.Line, column: f.Column}
		if one.values, err = valuesOf(one.field, f); err != nil {
			wrong = append(wrong, err)
			continue
		}
		if len(one.values) == 1 && f.Value.Line > 0 {
			one.line, one.column = f.Value.Line, f.Value.Column
		}
		fields = append(fields, one)
	}
	return fields, errors.Join(wrong...)
}

// valuesOf returns the values of field, which f sets.
func valuesOf(field string, f strict.Field) ([]string, error) {
	nodes := []*strict.Node{f.Value}
	switch f.Value.Kind {
	case strict.Empty:
		return nil, f.Errorf("%s has no value", strict.Clip(field))
	case strict.List:
		nodes = f.Value.Items
	default:
	}
	values := make([]string, len(nodes))
	for i, v := range nodes {
		if v.Kind != strict.Scalar {
			return nil, v.Errorf("%s is %s, want one value", strict.Clip(field), v.Is())
		}
		values[i] = v.Text
	}
	return values, nil
}
