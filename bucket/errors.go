package bucket

import "errors"

// Errors that say what is wrong with a request or a limit. What is returned wraps one of them and tells the details.
var (
	ErrLimit    = errors.New("bad limit")
	ErrKey      = errors.New("bad key")
	ErrCost     = errors.New("bad cost")
	ErrID       = errors.New("bad request id")
	ErrConflict = errors.New("conflicting requests") // one key with two limits in one all-or-nothing check
)

// Errors of a Store that does not decide. Nothing was taken.
var (
	ErrMoved = errors.New("partition is not held here")
	ErrFull  = errors.New("store is full")
)
