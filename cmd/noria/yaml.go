package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// A setting is a field of a configuration file and what it is set to.
type setting struct {
	field  string   // section and name: listen.api
	values []string // just one unless it is written as a list
	line   int      // of the value, from 1
	column int
}

// parseFile returns the settings of the YAML in b: a mapping of sections, each a mapping of fields to values or lists of
// them. Anchors, aliases and tags are not read. Errors are at their places.
func parseFile(b []byte) (all []setting, err error) {
	if err := sane(b); err != nil {
		return nil, err
	}
	file, err := parser.ParseBytes(b, 0)
	if err != nil {
		return nil, syntax(err)
	}
	var body ast.Node
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil || doc.Body.Type() == ast.CommentGroupType:
		case body != nil:
			return nil, wrongAt(doc.Body, "a second document begins here, want one")
		default:
			body = doc.Body
		}
	}
	if body == nil || body.Type() == ast.NullType {
		return nil, nil
	}
	entries, err := mapping(body, "the file")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		fields, err := sectionOf(e)
		if err != nil {
			return nil, err
		}
		all = append(all, fields...)
	}
	return all, nil
}

// What a file may have at most, so that reading it takes neither long nor much memory: the parser's need of both grows
// with the square of the depth.
const (
	maxLine  = 4096 // bytes
	maxDepth = 100  // brackets in brackets
)

// sane checks that b has no longer lines and no deeper brackets. It does not look for quotes: none need as many.
func sane(b []byte) error {
	depth, line, column := 0, 1, 0
	for _, c := range b {
		column++
		switch c {
		case '\n':
			line, column = line+1, 0
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(0, depth-1)
		}
		if column > maxLine {
			return at{line, column, fmt.Errorf("line has more than %d bytes", maxLine)}
		}
		if depth > maxDepth {
			return at{line, column, fmt.Errorf("more than %d brackets in brackets", maxDepth)}
		}
	}
	return nil
}

// mapping returns the entries of n, which what names.
func mapping(n ast.Node, what string) ([]*ast.MappingValueNode, error) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, nil
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, nil
	}
	return nil, wrongAt(n, "%s is %s, want a mapping such as\n  listen:\n    api: 127.0.0.1:8083", what, kindOf(n))
}

// sectionOf returns the fields of the section e.
func sectionOf(e *ast.MappingValueNode) ([]setting, error) {
	name, err := keyOf(e)
	if err != nil {
		return nil, err
	}
	if e.Value == nil || e.Value.Type() == ast.NullType {
		return nil, nil // all of it may be commented out
	}
	entries, err := mapping(e.Value, "section "+clip(name))
	if err != nil {
		return nil, err
	}
	fields := make([]setting, 0, len(entries))
	for _, f := range entries {
		key, err := keyOf(f)
		if err != nil {
			return nil, err
		}
		s := setting{field: name + "." + key}
		if s.values, err = valuesOf(s.field, f); err != nil {
			return nil, err
		}
		place := f.Key.GetToken()
		if len(s.values) == 1 && f.Value.GetToken() != nil {
			place = f.Value.GetToken()
		}
		s.line, s.column = place.Position.Line, place.Position.Column
		fields = append(fields, s)
	}
	return fields, nil
}

// keyOf returns the name before e's colon.
func keyOf(e *ast.MappingValueNode) (string, error) {
	if e.Key == nil || e.Key.GetToken() == nil || e.Key.GetToken().Position == nil {
		return "", errors.New("a name is missing before a colon")
	}
	k, ok := e.Key.(*ast.StringNode)
	if !ok {
		return "", wrongAt(e.Key, "%q is no name", clip(e.Key.GetToken().Value))
	}
	return k.Value, nil
}

// valuesOf returns the values of field, which e sets.
func valuesOf(field string, e *ast.MappingValueNode) ([]string, error) {
	n := e.Value
	if n == nil || n.Type() == ast.NullType {
		return nil, wrongAt(e.Key, "%s has no value", clip(field))
	}
	nodes := []ast.Node{n}
	if l, ok := n.(*ast.SequenceNode); ok {
		nodes = l.Values
	}
	values := make([]string, len(nodes))
	for i, v := range nodes {
		scalar, ok := scalarOf(v)
		if !ok {
			return nil, wrongAt(v, "%s is %s, want one value", clip(field), kindOf(v))
		}
		values[i] = scalar
	}
	return values, nil
}

// scalarOf returns the text of n if it is one value, as it is written: 0x10 and 1_000 are for the flags to read.
func scalarOf(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return strings.TrimSpace(n.Value.Value), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// kindOf says what n is to people.
func kindOf(n ast.Node) string {
	switch n.Type() {
	case ast.MappingType, ast.MappingValueType:
		return "a mapping"
	case ast.SequenceType:
		return "a list"
	case ast.AnchorType, ast.AliasType, ast.TagType, ast.MergeKeyType:
		return "an anchor, alias or tag, which are not read here"
	case ast.NullType:
		return "empty"
	default:
		if text, ok := scalarOf(n); ok {
			return fmt.Sprintf("%q", clip(text))
		}
		return "something else"
	}
}

// syntax returns what the parser found wrong, at its place.
func syntax(err error) error {
	var wrong yaml.Error
	if errors.As(err, &wrong) {
		return placed(wrong.GetToken(), errors.New(wrong.GetMessage()))
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return errors.New(first)
}

// wrongAt returns an error at the place of n.
func wrongAt(n ast.Node, format string, args ...any) error {
	return placed(n.GetToken(), fmt.Errorf(format, args...))
}

// placed returns err at the place of t, where it has one.
func placed(t *token.Token, err error) error {
	if t == nil || t.Position == nil {
		return err
	}
	return at{t.Position.Line, t.Position.Column, err}
}
