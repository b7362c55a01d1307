package cluster

import "errors"

// Errors of a Node's methods. What is returned wraps one of them, or one of package bucket's, and tells the details.
var (
	ErrConfig    = errors.New("bad configuration")
	ErrNotReady  = errors.New("node has not joined yet")
	ErrClosed    = errors.New("node is closed")
	ErrNameTaken = errors.New("name is taken by a live node")
	ErrMismatch  = errors.New("node does not fit this cluster") // other label, ring parameters or protocol
	ErrNoSeed    = errors.New("no seed answers")
	ErrNotSaved  = errors.New("buckets could not be saved")              // what was saved before stays
	ErrTooLate   = errors.New("deadline is before the tokens are there") // Wait knows at once
)
