package policy

import "fmt"

// An Error is something wrong at its place.
type Error struct {
	File         string
	Line, Column int    // from 1; 0 where it has no place in the file
	Variable     string // the environment variable it is about, "" for the file
	Err          error
}

// Error implements error.
func (e *Error) Error() string {
	switch {
	case e.Variable != "":
		return fmt.Sprintf("%s: %v", e.Variable, e.Err)
	case e.Line > 0:
		return fmt.Sprintf("%s:%d:%d: %v", e.File, e.Line, e.Column, e.Err)
	}
	return fmt.Sprintf("%s: %v", e.File, e.Err)
}

// Unwrap returns what is wrong.
func (e *Error) Unwrap() error { return e.Err }
