package policy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// maxCost is the most steps that one look at a condition takes, in CEL's measure.
const maxCost = 10_000

// A condition says for which requests a limit is.
type condition struct {
	text    string
	program cel.Program
}

// String returns c as it is written.
func (c *condition) String() string {
	if c == nil {
		return ""
	}
	return c.text
}

// words returns the environment of conditions: the attributes of requests, and CEL's own functions.
func words() (*cel.Env, error) {
	texts := cel.MapType(cel.StringType, cel.StringType)
	return cel.NewEnv(
		cel.Variable("client.ip", cel.StringType),
		cel.Variable("identity.id", cel.StringType),
		cel.Variable("identity.tier", cel.StringType),
		cel.Variable("identity.org", cel.StringType),
		cel.Variable("identity.anonymous", cel.BoolType),
		cel.Variable("identity.attributes", texts),
		cel.Variable("header", texts),
		cel.Variable("host", cel.StringType),
		cel.Variable("method", cel.StringType),
		cel.Variable("path", cel.StringType),
		cel.Variable("route", cel.StringType),
		cel.Variable("model", cel.StringType),
		cel.ParserExpressionSizeLimit(maxValue),
	)
}

// condition compiles a condition.
func (a *draft) condition(s string) (*condition, error) {
	if a.words == nil {
		env, err := words()
		if err != nil {
			return nil, err
		}
		a.words = env
	}
	tree, issues := a.words.Compile(s)
	if err := issues.Err(); err != nil {
		return nil, fmt.Errorf("want a condition in CEL: %s", firstIssue(issues))
	}
	if tree.OutputType() != cel.BoolType {
		return nil, fmt.Errorf("want a condition in CEL that is true or false, found one of type %s", tree.OutputType())
	}
	program, err := a.words.Program(tree, cel.CostLimit(maxCost), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, fmt.Errorf("want a condition in CEL: %w", err)
	}
	return &condition{text: s, program: program}, nil
}

// firstIssue returns what the compiler found first, in one line, by the column of the condition.
func firstIssue(issues *cel.Issues) string {
	all := issues.Errors()
	if len(all) == 0 {
		return "it does not compile"
	}
	text, _, _ := strings.Cut(all[0].Message, "\n")
	text, _, _ = strings.Cut(text, " expecting {") // all that the grammar knows
	return fmt.Sprintf("at %d: %s", max(all[0].Location.Column()+1, 1), text)
}

// holds says whether c is true of q, which is a copy so that requests that meet no condition are not on the heap.
func (c *condition) holds(q request) (bool, error) {
	got, _, err := c.program.Eval(&q)
	if err != nil {
		return false, fmt.Errorf("condition %q: %w", c.text, err)
	}
	is, ok := got.Value().(bool)
	if !ok {
		return false, fmt.Errorf("condition %q: %w", c.text, errors.New("neither true nor false"))
	}
	return is, nil
}

// Parent implements cel.Activation.
func (*request) Parent() cel.Activation { return nil }

// ResolveName implements cel.Activation.
func (q *request) ResolveName(name string) (any, bool) {
	a := q.Attributes
	switch name {
	case "client.ip":
		if !a.ClientIP.IsValid() {
			return "", true
		}
		return a.ClientIP.String(), true
	case "header":
		return textsOf(lowered(a.Header)), true
	case "host":
		return plainHost(a.Host), true
	case "method":
		return a.Method, true
	case "path":
		return plainPath(a.Path), true
	case "route":
		return q.route.Name, true
	case "model":
		return a.Model, true
	}
	return q.caller(name)
}

// caller is ResolveName for what the caller is.
func (q *request) caller(name string) (any, bool) {
	c := q.Caller
	if c == nil {
		c = &Caller{Anonymous: true}
	}
	switch name {
	case "identity.id":
		return c.ID, true
	case "identity.tier":
		return q.tier, true
	case "identity.org":
		return c.Org, true
	case "identity.anonymous":
		return c.Anonymous, true
	case "identity.attributes":
		return textsOf(c.Attributes), true
	}
	return nil, false
}

// lowered returns headers by their names in small letters.
func lowered(all map[string][]string) map[string]string {
	texts := make(map[string]string, len(all))
	for name, values := range all {
		texts[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	return texts
}

// texts is a map in which all that is not there is "", so that conditions need not ask for it first.
type texts struct{ traits.Mapper }

// textsOf returns m for conditions.
func textsOf(m map[string]string) texts {
	return texts{types.NewStringStringMap(types.DefaultTypeAdapter, m)}
}

// Find implements traits.Mapper.
func (t texts) Find(key ref.Val) (ref.Val, bool) {
	if v, ok := t.Mapper.Find(key); ok {
		return v, true
	}
	return types.String(""), true
}

// Get implements traits.Indexer.
func (t texts) Get(key ref.Val) ref.Val {
	v, _ := t.Find(key)
	return v
}
