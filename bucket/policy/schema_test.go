package policy

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/noriahq/noria/bucket/policy/strict"
)

// A schema is a JSON schema, as far as editors need one for a policy.
type schema struct {
	Schema      string             `json:"$schema,omitempty"`
	Title       string             `json:"title,omitempty"`
	Description string             `json:"description,omitempty"`
	Type        []string           `json:"type,omitempty"`
	Default     any                `json:"default,omitempty"`
	Enum        []string           `json:"enum,omitempty"`
	Pattern     string             `json:"pattern,omitempty"`
	Minimum     *int64             `json:"minimum,omitempty"`
	Maximum     *int64             `json:"maximum,omitempty"`
	MaxLength   int                `json:"maxLength,omitempty"`
	AnyOf       []*schema          `json:"anyOf,omitempty"`
	Items       *schema            `json:"items,omitempty"`
	MaxItems    int                `json:"maxItems,omitempty"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	Additional  any                `json:"additionalProperties,omitempty"` // false, or *schema
}

// serveSections are what the file has besides policy, for noria serve. A test of cmd/noria compares them.
func serveSections() []string {
	return []string{"node", "cluster", "listen", "advertise", "gateway", "rls", "bounds", "state", "peer", "gossip", "api", "admin", "log"}
}

// fileSchema returns the schema of a policy file, from the tables that it is read by.
func fileSchema() *schema {
	s := mappingSchema((&draft{decoder: &decoder{}, policy: &Policy{}}).fields())
	s.Schema, s.Title = "http://json-schema.org/draft-07/schema#", "Noria"
	s.Description = "The configuration file of noria serve: its settings, and the policy."
	for _, name := range serveSections() {
		s.Properties[name] = &schema{Type: []string{"object", "null"}, Description: "settings of noria serve; \"noria config fields\" lists them"}
	}
	return s
}

// mappingSchema returns the schema of a mapping with the fields of the table.
func mappingSchema(table []field) *schema {
	s := &schema{Type: []string{"object", "null"}, Properties: map[string]*schema{}, Additional: false}
	for _, f := range table {
		s.Properties[f.name] = fieldSchema(f)
	}
	return s
}

// fieldSchema returns the schema of a field.
func fieldSchema(f field) *schema {
	var s *schema
	switch {
	case f.section != nil:
		inner, _ := f.section()
		s = mappingSchema(inner)
	case f.entry != nil:
		inner, _ := f.entry(value{text: f.names})
		entry := mappingSchema(inner)
		entry.Type = []string{"object"}
		s = &schema{Type: []string{"object", "null"}, Additional: entry}
	case f.put != nil:
		s = &schema{Type: []string{"object"}, Additional: valueSchema(f.form)}
	case f.many != nil:
		one := valueSchema(f.form)
		s = &schema{AnyOf: []*schema{one, {Type: []string{"array"}, Items: one, MaxItems: maxItems}}}
	default:
		s = valueSchema(f.form)
	}
	s.Description, s.Default = f.usage, defaultOf(f)
	return s
}

// valueSchema returns the schema of one value.
func valueSchema(f form) *schema {
	switch {
	case f.words != nil:
		return &schema{Type: []string{"string"}, Enum: f.words}
	case f.boolean:
		return &schema{Type: []string{"boolean"}}
	case f.pattern != "":
		return &schema{AnyOf: []*schema{{Type: []string{"number"}, Minimum: new(int64)}, {Type: []string{"string"}, Pattern: f.pattern}}}
	case f.whole && f.kind == "number":
		return &schema{Type: []string{"integer"}, Minimum: &f.least, Maximum: &f.most}
	case f.whole:
		return &schema{AnyOf: []*schema{{Type: []string{"integer"}, Minimum: &f.least, Maximum: &f.most}, {Type: []string{"string"}, MaxLength: maxValue}}}
	}
	return &schema{Type: []string{"string"}, MaxLength: maxValue}
}

// defaultOf returns f's default as it is in JSON.
func defaultOf(f field) any {
	n, err := strconv.ParseInt(f.byDef, 10, 64)
	switch {
	case f.byDef == "":
		return nil
	case f.many != nil:
		var all []string
		for _, v := range split(value{text: f.byDef}) {
			all = append(all, v.text)
		}
		return all
	case f.form.boolean:
		return f.byDef == "true"
	case err == nil:
		return n
	}
	return f.byDef
}

// The schema for editors is made from the tables that files are read by.
func TestSchema(t *testing.T) {
	b, err := json.MarshalIndent(fileSchema(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "noria.schema.json", string(b)+"\n")
}

// judge says what in n is against s, by the rules of JSON schema, "" for nothing.
func (s *schema) judge(n *strict.Node) string {
	if len(s.AnyOf) > 0 {
		if !slices.ContainsFunc(s.AnyOf, func(one *schema) bool { return one.judge(n) == "" }) {
			return fmt.Sprintf("%d: %s is none of several", n.Line, n.Is())
		}
		return ""
	}
	if !slices.ContainsFunc(typesOf(n), func(is string) bool { return slices.Contains(s.Type, is) }) {
		return fmt.Sprintf("%d: %s is none of %q", n.Line, n.Is(), s.Type)
	}
	whole, _ := strconv.ParseInt(n.Text, 10, 64)
	switch {
	case n.Kind == strict.Scalar && len(s.Enum) > 0 && !slices.Contains(s.Enum, n.Text),
		n.Kind == strict.Scalar && s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(n.Text),
		s.Minimum != nil && whole < *s.Minimum, s.Maximum != nil && whole > *s.Maximum:
		return fmt.Sprintf("%d: %s is not good", n.Line, n.Is())
	}
	for _, item := range n.Items {
		if wrong := s.Items.judge(item); wrong != "" {
			return wrong
		}
	}
	for _, f := range n.Fields {
		in := s.Properties[f.Name]
		if more, ok := s.Additional.(*schema); in == nil && ok {
			in = more
		}
		switch {
		case in == nil && s.Additional == nil:
			continue
		case in == nil:
			return fmt.Sprintf("%d: no property %s", f.Line, f.Name)
		}
		if wrong := in.judge(f.Value); wrong != "" {
			return wrong
		}
	}
	return ""
}

// typesOf returns what n can be in JSON. Of values it does not know whether they had quotes, so each is a string too.
func typesOf(n *strict.Node) []string {
	switch n.Kind {
	case strict.Mapping:
		return []string{"object"}
	case strict.List:
		return []string{"array"}
	case strict.Empty:
		return []string{"null"}
	default:
	}
	types := []string{"string"}
	if _, err := strconv.ParseInt(n.Text, 10, 64); err == nil {
		types = append(types, "integer")
	}
	if _, err := strconv.ParseFloat(n.Text, 64); err == nil {
		types = append(types, "number")
	}
	if _, err := strict.YesNo(n.Text); err == nil {
		types = append(types, "boolean")
	}
	return types
}

// The schema lets pass what Parse does, and finds what editors can see to be wrong.
func TestSchemaJudges(t *testing.T) {
	s := fileSchema()
	read := func(text string) *strict.Node {
		n, err := strict.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	good, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(good) == 0 {
		t.Fatalf("no good files: %v", err)
	}
	for _, file := range good {
		if wrong := s.judge(read(string(testdata(t, filepath.Base(file))))); wrong != "" {
			t.Errorf("%s: the schema says %s", file, wrong)
		}
	}
	for _, text := range []string{"", layers, "node: {name: a}\nlimits:\n"} {
		if wrong := s.judge(read(text)); wrong != "" {
			t.Errorf("%q: the schema says %s", text, wrong)
		}
	}
	for _, text := range []string{
		"limts: {}", "limits: {a: {limit: 1/s, tier: {}}}", "limits: {a: {unit: requets}}", "ipv6_bits: 300", "limits: [a]", "limits: {a: }",
		"routes: {r: {kind: https}}", "routes: {r: {retries: 9}}", "identities: {jwt: {algorithms: [none]}}", "limits: {a: {shadow: maybe}}",
		"routes: {r: {llm: {weights: {a: {input: 1.0001, output: x}}}}}", "routes: {r: {upstreams: {a: b}}}",
	} {
		if wrong := s.judge(read(text)); wrong == "" {
			t.Errorf("%q: the schema finds nothing wrong", text)
		}
	}
}
