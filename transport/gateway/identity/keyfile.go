package identity

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/noriahq/noria/bucket/nearest"
	"github.com/noriahq/noria/bucket/policy"
)

const (
	maxKeyFile    = 16 << 20 // bytes: some 100,000 keys
	maxKeyLine    = 4 << 10  // bytes of a line of a key file
	maxKeyDepth   = 1000     // brackets in brackets, quoted ones too
	maxAttributes = 32       // of a key
	maxWrong      = 20       // errors of a file that are told at once
)

// A keyFile is what is read of a key file.
type keyFile struct {
	path  string
	ring  keyRing
	lines map[[sha256.Size]byte]int // where each key stands
	said  bool                      // that there are keys, or that there are none
	wrong []error
}

// parseKeys reads a key file, which came from path: a list under keys: of {sha256: HEX, id: ID, tier: TIER, org: ORG,
// attributes: {NAME: VALUE}}, where sha256 and id are required. The error joins all that is wrong, by line and column, and
// shows no value of sha256: somebody may have put the key itself there.
func parseKeys(path string, b []byte) (keyRing, error) {
	f := &keyFile{path: path, ring: keyRing{}, lines: map[[sha256.Size]byte]int{}}
	if err := f.sane(b); err != nil {
		return nil, err
	}
	file, err := parser.ParseBytes(b, 0)
	if err != nil {
		return nil, f.syntax(err)
	}
	for _, doc := range file.Docs {
		f.document(doc)
	}
	if !f.said && len(f.wrong) == 0 {
		return nil, fmt.Errorf("%s: keys is missing, want keys: [] for none", path) // it may have been cut off
	}
	if more := len(f.wrong) - maxWrong; more > 0 {
		f.wrong = append(f.wrong[:maxWrong], fmt.Errorf("%s: and %d more", path, more))
	}
	if err := errors.Join(f.wrong...); err != nil {
		return nil, err
	}
	return f.ring, nil
}

// sane checks that b has no longer lines and no deeper brackets: the parser's need of time grows with the square of both.
func (f *keyFile) sane(b []byte) error {
	line, depth := 0, 0
	for text := range bytes.Lines(b) {
		line++
		depth = max(0, depth+bytes.Count(text, []byte("["))+bytes.Count(text, []byte("{"))-bytes.Count(text, []byte("]"))-bytes.Count(text, []byte("}")))
		if len(text) > maxKeyLine {
			return fmt.Errorf("%s:%d: line has more than %d bytes", f.path, line, maxKeyLine)
		}
		if depth > maxKeyDepth {
			return fmt.Errorf("%s:%d: more than %d brackets in brackets", f.path, line, maxKeyDepth)
		}
	}
	return nil
}

// syntax returns where the parser found something wrong, without its words, which may show what stands there.
func (f *keyFile) syntax(err error) error {
	var wrong yaml.Error
	if !errors.As(err, &wrong) {
		return fmt.Errorf("%s: not YAML", f.path)
	}
	what := "not YAML"
	if strings.Contains(wrong.GetMessage(), "already defined") {
		what = "the same field twice"
	}
	if t := wrong.GetToken(); t != nil && t.Position != nil {
		return fmt.Errorf("%s:%d:%d: %s", f.path, t.Position.Line, t.Position.Column, what)
	}
	return fmt.Errorf("%s: %s", f.path, what)
}

// bad notes what is wrong at n.
func (f *keyFile) bad(n ast.Node, format string, args ...any) {
	err := fmt.Errorf(format, args...)
	if t := n.GetToken(); t != nil && t.Position != nil {
		f.wrong = append(f.wrong, fmt.Errorf("%s:%d:%d: %w", f.path, t.Position.Line, t.Position.Column, err))
		return
	}
	f.wrong = append(f.wrong, fmt.Errorf("%s: %w", f.path, err))
}

// document reads all that the file says.
func (f *keyFile) document(doc *ast.DocumentNode) {
	if isEmpty(doc.Body) {
		return
	}
	for _, e := range f.fields(doc.Body, "the file") {
		switch name := nameOf(e); name {
		case "keys":
			f.said = true
			f.list(e.Value)
		default:
			f.bad(e.Key, "unknown field %s, want keys", clip(name))
		}
	}
}

// list reads the keys.
func (f *keyFile) list(n ast.Node) {
	if isEmpty(n) {
		return
	}
	all, ok := n.(*ast.SequenceNode)
	if !ok {
		f.bad(n, "keys is not a list, want entries such as - {sha256: HEX, id: ID}")
		return
	}
	for _, one := range all.Values {
		f.entry(one)
	}
}

// entry reads one key.
func (f *keyFile) entry(n ast.Node) {
	c, before := new(policy.Caller), len(f.wrong)
	var digest []byte
	for _, e := range f.fields(n, "an entry of keys") {
		switch name := nameOf(e); name {
		case "sha256":
			digest = f.digest(e)
		case "id":
			c.ID = f.text(e)
		case "tier":
			c.Tier = f.text(e)
		case "org":
			c.Org = f.text(e)
		case "attributes":
			c.Attributes = f.attributes(e.Value)
		default:
			f.unknown(e, name)
		}
	}
	switch {
	case len(f.wrong) > before:
	case digest == nil:
		f.bad(n, "sha256 is missing, want what noria config hash-key prints")
	case c.ID == "":
		f.bad(n, "id is missing, want who has the key")
	default:
		f.add(n, [sha256.Size]byte(digest), c)
	}
}

// add notes that c has the key with digest.
func (f *keyFile) add(n ast.Node, digest [sha256.Size]byte, c *policy.Caller) {
	if line, ok := f.lines[digest]; ok {
		f.bad(n, "the key of line %d once more", line)
		return
	}
	f.ring[digest], f.lines[digest] = c, n.GetToken().Position.Line
}

// unknown says that no field has the name of e.
func (f *keyFile) unknown(e *ast.MappingValueNode, name string) {
	if name == "key" || name == "secret" || name == "token" {
		f.bad(e.Key, "unknown field %s: keys are not stored, want sha256: and what noria config hash-key prints", name)
		return
	}
	if name == "" {
		f.bad(e.Key, "a field has no name, written out")
		return
	}
	hint := ""
	if near := nearest.To(name, []string{"sha256", "id", "tier", "org", "attributes"}, 3); near != "" {
		hint = ", did you mean " + near + "?"
	}
	f.bad(e.Key, "unknown field %s%s", clip(name), hint)
}

// fields returns the fields of n, which what names.
func (f *keyFile) fields(n ast.Node, what string) []*ast.MappingValueNode {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	case nil:
		f.wrong = append(f.wrong, fmt.Errorf("%s: %s is empty", f.path, what))
	default:
		f.bad(n, "%s is no mapping, written out", what)
	}
	return nil
}

// digest returns the hash that e says.
func (f *keyFile) digest(e *ast.MappingValueNode) []byte {
	s, _ := scalarOf(e.Value)
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != sha256.Size {
		f.bad(e.Key, "sha256 is not %d hexadecimal digits; noria config hash-key prints them", 2*sha256.Size)
		return nil
	}
	return b
}

// text returns the name that e says.
func (f *keyFile) text(e *ast.MappingValueNode) string {
	s, ok := scalarOf(e.Value)
	if !ok || s == "" || !isName(s) {
		f.bad(e.Key, "%s is no text of 1 to %d bytes", clip(nameOf(e)), maxName)
	}
	return s
}

// attributes reads the free attributes of a key.
func (f *keyFile) attributes(n ast.Node) map[string]string {
	if isEmpty(n) {
		return nil
	}
	all := map[string]string{}
	for _, e := range f.fields(n, "attributes") {
		name := nameOf(e)
		if len(name) > maxName || len(all) == maxAttributes {
			f.bad(e.Key, "more than %d attributes, or a name of more than %d bytes", maxAttributes, maxName)
			break
		}
		all[name] = f.text(e)
	}
	return all
}

// nameOf returns what stands before e's colon, "" if that is no name.
func nameOf(e *ast.MappingValueNode) string {
	if e.Key == nil {
		return ""
	}
	s, _ := scalarOf(e.Key)
	return s
}

// isEmpty says whether nothing is written at n.
func isEmpty(n ast.Node) bool {
	return n == nil || n.Type() == ast.NullType || n.Type() == ast.CommentGroupType
}

// scalarOf returns the text of n if it is one value, as it is written. Anchors, aliases and tags are none.
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
