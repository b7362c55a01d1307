package chaos

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxFile is the most bytes of a plan's file. The parser's need of time and memory grows with the square of the depth of
// brackets, so that is bounded too.
const (
	maxFile  = 1 << 20
	maxDepth = 100
)

// Parse reads a plan from YAML: a mapping with the fields of Plan, of which those left out are as New has them. The plan is
// checked; errors name lines. cuts is as in Check.
func Parse(b []byte, cuts bool) (Plan, error) {
	if err := sane(b); err != nil {
		return Plan{}, err
	}
	file, err := parser.ParseBytes(b, 0)
	if err != nil {
		return Plan{}, decodeError(b, err)
	}
	if err := ordinary(file); err != nil {
		return Plan{}, err
	}
	p, err := decode(b)
	if err != nil {
		return Plan{}, err
	}
	flaws := p.flaws(cuts)
	if len(flaws) == 0 {
		return p.withDefaults(), nil
	}
	var all []error
	for _, f := range flaws {
		all = append(all, fmt.Errorf("%s%s: %w", lineOf(file, f.field), f.field, f.err))
	}
	return Plan{}, errors.Join(all...)
}

// decode reads a plan, unchecked.
func decode(b []byte) (p Plan, err error) {
	defer func() {
		if wrong := recover(); wrong != nil { // the library's decoder does that for files that are wrong in rare ways
			err = fmt.Errorf("not a plan: %v", wrong)
		}
	}()
	p = New()
	if err := yaml.NewDecoder(bytes.NewReader(b), yaml.Strict()).Decode(&p); err != nil && !errors.Is(err, io.EOF) {
		return Plan{}, decodeError(b, err)
	}
	return p, nil
}

// ordinary returns an error for a file that has more than one document, or what plans do not need.
func ordinary(file *ast.File) error {
	var refused refuser
	documents := 0
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentGroupType {
			continue
		}
		if documents++; documents > 1 {
			return errors.New("a second document begins after the plan, want one")
		}
		ast.Walk(&refused, doc.Body)
	}
	return refused.err
}

// A refuser finds anchors, aliases and tags.
type refuser struct{ err error }

// Visit implements ast.Visitor.
func (r *refuser) Visit(n ast.Node) ast.Visitor {
	switch n.Type() {
	case ast.AnchorType, ast.AliasType, ast.TagType, ast.MergeKeyType:
		if r.err == nil {
			r.err = fmt.Errorf("line %d: anchors, aliases and tags are not read here", n.GetToken().Position.Line)
		}
		return nil
	default:
		return r
	}
}

// YAML returns p as Parse reads it.
func (p Plan) YAML() ([]byte, error) { return yaml.MarshalWithOptions(p, yaml.IndentSequence(true)) }

// sane checks that b can be parsed in little time and memory.
func sane(b []byte) error {
	if len(b) > maxFile {
		return fmt.Errorf("plan has more than %d bytes", maxFile)
	}
	depth := 0
	for i, c := range b {
		switch c {
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(0, depth-1)
		}
		if depth > maxDepth {
			return fmt.Errorf("line %d: more than %d brackets in brackets", 1+bytes.Count(b[:i], []byte("\n")), maxDepth)
		}
	}
	return nil
}

// decodeError returns err with its line, and with what may have been meant.
func decodeError(b []byte, err error) error {
	var unknown *yaml.UnknownFieldError
	if errors.As(err, &unknown) && unknown.GetToken() != nil {
		field := unknown.GetToken().Value
		return fmt.Errorf("line %d: unknown field %q%s", unknown.GetToken().Position.Line, clip(field), didYouMean(field, fields()))
	}
	var wrong yaml.Error
	if errors.As(err, &wrong) && wrong.GetToken() != nil && wrong.GetToken().Position != nil {
		return fmt.Errorf("line %d: %s", wrong.GetToken().Position.Line, plain(wrong.GetMessage()))
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	if _, text, ok := strings.Cut(first, "time: invalid duration "); ok { // the one error without a place
		text = strings.Trim(text, `"`)
		before, _, _ := bytes.Cut(b, []byte(text))
		return fmt.Errorf("line %d: %q is no duration, want one such as 5s", 1+bytes.Count(before, []byte("\n")), clip(text))
	}
	return errors.New(first)
}

// plain returns what the decoder says without Go's words for types.
func plain(message string) string {
	message, _, _ = strings.Cut(message, "\n")
	value, kind, ok := strings.Cut(message, " into Go ")
	switch {
	case ok && strings.Contains(kind, "time.Duration"):
		return "want a duration with its unit, such as 5s"
	case ok && strings.HasSuffix(kind, "string"):
		return value + ": want a text"
	case ok:
		return value + ": want a number"
	}
	return message
}

// fields returns the names of all fields of plans, limits and steps.
func fields() []string {
	var all []string
	for _, t := range []reflect.Type{reflect.TypeFor[Plan](), reflect.TypeFor[Limit](), reflect.TypeFor[Step]()} {
		for i := range t.NumField() {
			if name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ","); name != "" {
				all = append(all, name)
			}
		}
	}
	return all
}

// lineOf returns where field, or the nearest mapping around it, stands in the file, as the beginning of a message.
func lineOf(file *ast.File, field string) string {
	for field != "" {
		path, err := yaml.PathString("$." + quoted(field))
		if err == nil {
			if node, err := path.FilterFile(file); err == nil && node != nil && node.GetToken() != nil {
				return fmt.Sprintf("line %d: ", node.GetToken().Position.Line)
			}
		}
		cut := strings.LastIndexAny(field, ".[")
		field = field[:max(cut, 0)]
	}
	return ""
}

// quoted returns a path with quotes where a name has a hyphen.
func quoted(field string) string {
	return strings.ReplaceAll(field, "holder-of", "'holder-of'")
}
