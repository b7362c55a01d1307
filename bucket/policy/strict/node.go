package strict

// A Kind is what a Node is.
type Kind uint8

// The kinds.
const (
	Empty   Kind = iota // nothing, null or ~
	Scalar              // one value
	List                // several, in order
	Mapping             // names with values, in order
)

// A Node is a part of a file.
type Node struct {
	Kind   Kind
	Text   string  // of a Scalar: as it is written, without quotes
	Items  []*Node // of a List
	Fields []Field // of a Mapping; no name twice

	Line, Column int // where it begins, from 1; 0 where it is nowhere
}

// A Field is a name and what it stands for.
type Field struct {
	Name         string
	Value        *Node // never nil
	Line, Column int   // of the name
}

// Is says what n is to people.
func (n *Node) Is() string {
	switch n.Kind {
	case Mapping:
		return "a mapping"
	case List:
		return "a list"
	case Scalar:
		return quote(n.Text)
	default:
		return "empty"
	}
}

// Errorf returns an error at the place of n.
func (n *Node) Errorf(format string, args ...any) error {
	return errorAt(n.Line, n.Column, format, args...)
}

// Errorf returns an error at the place of f's name.
func (f Field) Errorf(format string, args ...any) error {
	return errorAt(f.Line, f.Column, format, args...)
}
