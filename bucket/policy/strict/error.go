package strict

import (
	"fmt"
	"strings"
)

// An Error is an error at a place of a file.
type Error struct {
	Line, Column int // from 1; 0 where it has none
	Err          error
}

// Error says what is wrong, without the place: that is for who knows the file's name.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the error without its place.
func (e *Error) Unwrap() error { return e.Err }

// errorAt returns an error at a place.
func errorAt(line, column int, format string, args ...any) error {
	return &Error{Line: line, Column: column, Err: fmt.Errorf(format, args...)}
}

// Clip cuts s to a length that fits an error.
func Clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

// quote returns s, cut, in quotes.
func quote(s string) string { return fmt.Sprintf("%q", Clip(s)) }
