package strict

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// What a file may have at most, so that reading it takes neither long nor much memory: the parser's need of both grows
// with the square of the depth.
const (
	MaxText = 128 << 10 // bytes of a file

	maxLine  = 4096 // bytes
	maxDepth = 100  // brackets in brackets
	maxNodes = 64   // mappings and lists in each other
)

// Parse reads the YAML in b. A file without anything in it is an Empty node. The error joins all that is wrong, each an
// *Error, at most 20 things; of what is no YAML at all it has just the first.
func Parse(b []byte) (*Node, error) {
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
	var t tree
	root := t.node(body, 0)
	return root, errors.Join(t.wrong...)
}

// sane checks that b is not too long, has no longer lines and no deeper brackets. It does not look for quotes: none need as
// many.
func sane(b []byte) error {
	if len(b) > MaxText {
		return errorAt(0, 0, "%d bytes, want at most %d", len(b), MaxText)
	}
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
			return errorAt(line, column, "line has more than %d bytes", maxLine)
		}
		if depth > maxDepth {
			return errorAt(line, column, "more than %d brackets in brackets", maxDepth)
		}
	}
	return nil
}

// maxWrong is how many errors are told at once.
const maxWrong = 20

// A tree makes Nodes of what the parser read.
type tree struct {
	wrong []error // at most maxWrong
}

// fail keeps an error.
func (t *tree) fail(err error) {
	if len(t.wrong) < maxWrong {
		t.wrong = append(t.wrong, err)
	}
}

// node returns n, which is depth nodes below the root. What is wrong with it is kept in t.wrong, and is Empty.
func (t *tree) node(n ast.Node, depth int) *Node {
	made := &Node{}
	if n == nil {
		return made
	}
	if at := n.GetToken(); at != nil && at.Position != nil {
		made.Line, made.Column = at.Position.Line, at.Position.Column
	}
	if depth > maxNodes {
		t.fail(wrongAt(n, "more than %d mappings and lists in each other", maxNodes))
		return made
	}
	switch n := n.(type) {
	case *ast.NullNode, *ast.CommentGroupNode:
	case *ast.MappingNode:
		made.Kind = Mapping
		t.fields(made, n.Values, depth)
	case *ast.MappingValueNode:
		made.Kind = Mapping
		t.fields(made, []*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		made.Kind = List
		for _, item := range n.Values {
			made.Items = append(made.Items, t.node(item, depth+1))
		}
	default:
		t.scalar(made, n)
	}
	return made
}

// fields reads the entries of a mapping into made. The parser refuses names that come twice, but not those
// without a value, as in {a, a}.
func (t *tree) fields(made *Node, entries []*ast.MappingValueNode, depth int) {
	lines := make(map[string]int, len(entries))
	for i, e := range entries {
		f, err := named(e)
		if err != nil {
			t.fail(err)
			continue
		}
		if line, twice := lines[f.Name]; twice {
			t.fail(f.Errorf("name %s comes twice, first in line %d", quote(f.Name), line))
			continue
		}
		lines[f.Name] = f.Line
		if i == 0 { // the parser places a mapping at its first colon
			made.Line, made.Column = f.Line, f.Column
		}
		f.Value = t.node(e.Value, depth+1)
		made.Fields = append(made.Fields, f)
	}
}

// named returns the field of e without its value.
func named(e *ast.MappingValueNode) (Field, error) {
	if e.Key == nil || e.Key.GetToken() == nil || e.Key.GetToken().Position == nil {
		return Field{}, &Error{Err: errors.New("a name is missing before a colon")}
	}
	k, ok := e.Key.(*ast.StringNode)
	if !ok {
		return Field{}, wrongAt(e.Key, "%q is no name", Clip(e.Key.GetToken().Value))
	}
	at := k.GetToken().Position
	return Field{Name: k.Value, Line: at.Line, Column: at.Column}, nil
}

// scalar reads one value into made, as it is written: what 0x10 and 1_000 are is for others to say.
func (t *tree) scalar(made *Node, n ast.Node) {
	made.Kind = Scalar
	switch n := n.(type) {
	case *ast.StringNode:
		made.Text = n.Value
	case *ast.LiteralNode:
		made.Text = strings.TrimSpace(n.Value.Value)
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		made.Text = n.GetToken().Value
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		made.Kind = Empty
		t.fail(wrongAt(n, "an anchor, alias or tag, which are not read here"))
	default:
		made.Kind = Empty
		t.fail(wrongAt(n, "%q is neither a value nor a list nor a mapping", Clip(n.String())))
	}
}

// syntax returns what the parser found wrong, at its place.
func syntax(err error) error {
	var wrong yaml.Error
	if errors.As(err, &wrong) {
		return placed(wrong.GetToken(), errors.New(wrong.GetMessage()))
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return &Error{Err: errors.New(first)}
}

// wrongAt returns an error at the place of n.
func wrongAt(n ast.Node, format string, args ...any) error {
	return placed(n.GetToken(), fmt.Errorf(format, args...))
}

// placed returns err at the place of t, where it has one.
func placed(t *token.Token, err error) error {
	if t == nil || t.Position == nil {
		return &Error{Err: err}
	}
	return &Error{Line: t.Position.Line, Column: t.Position.Column, Err: err}
}
