package policy

import "errors"

// Parse reads a policy from the YAML in text, which came from the file name, with overrides from env, a process's
// environment. others are the names of variables with NORIA_ that belong to someone else.
//
// The error joins all that is wrong, each an *Error, at most 20.
func Parse(name string, text []byte, env map[string]string, others ...string) (*Policy, error) {
	return nil, &Error{File: name, Err: errors.New("not read yet")}
}

// Route returns the route of a request, nil for none.
func (p *Policy) Route(host, method, path string) *Route { return p.table.find(host, method, path) }

// Meet appends the limits that a request with these attributes meets on r to m, with their keys. It allocates nothing once
// m has grown, but for conditions.
//
// A condition that cannot be decided, because it asks for a header that is not there for instance, counts as true: the
// error says so, and m is whole all the same.
func (r *Route) Meet(a *Attributes, m *Met) error { return nil }

// Weigh returns the weights of a model's tokens.
func (l *LLM) Weigh(model string) Weights { return Weights{PlainWeight, PlainWeight, PlainWeight} }

type table struct{}

func (table) find(host, method, path string) *Route { return nil }

type part struct{}

type condition struct{}
