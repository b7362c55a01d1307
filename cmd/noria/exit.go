package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The exit statuses.
const (
	statusFine        = 0
	statusFailed      = 1 // denied, or something that is nobody's usage broke
	statusUsage       = 2 // wrong usage or configuration
	statusUnreachable = 3 // could not reach a node
)

// An exit is an error with the status that it ends the process with.
type exit struct {
	status int
	err    error // nil if there is nothing to add to what was printed
}

// Error implements error.
func (e *exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

// Unwrap returns the error that e carries.
func (e *exit) Unwrap() error { return e.err }

// usagef returns an error that ends the process with statusUsage.
func usagef(format string, args ...any) error {
	return &exit{status: statusUsage, err: fmt.Errorf(format, args...)}
}

// denied returns the error of a command that has printed a refusal.
func denied() error { return &exit{status: statusFailed} }

// unreachable returns err, which came from asking the node at addr, as an error with its status.
func unreachable(addr string, err error) error {
	switch code := status.Code(err); {
	case errors.Is(err, context.Canceled), code == codes.Canceled:
		return &exit{status: statusFailed, err: errors.New("stopped")}
	case code == codes.Unavailable, code == codes.DeadlineExceeded, errors.Is(err, context.DeadlineExceeded):
		return &exit{status: statusUnreachable, err: fmt.Errorf("node at %s: %s", addr, reason(err))}
	case code == codes.InvalidArgument:
		return &exit{status: statusUsage, err: errors.New(reason(err))}
	case code == codes.Unauthenticated:
		return &exit{status: statusUsage, err: fmt.Errorf("node at %s: %s; give it by --token-file FILE or --secure DIR", addr, reason(err))}
	case code == codes.Unimplemented:
		return &exit{status: statusUnreachable, err: fmt.Errorf("what listens at %s does not speak Noria's API: %s", addr, reason(err))}
	default:
		return &exit{status: statusFailed, err: fmt.Errorf("node at %s: %s", addr, reason(err))}
	}
}

// reason returns what err says without the words that gRPC puts around it.
func reason(err error) string {
	s, ok := status.FromError(err)
	if !ok {
		return err.Error()
	}
	text := s.Message()
	if _, dialing, ok := strings.Cut(text, "Error while dialing: "); ok {
		text = strings.TrimSuffix(dialing, `"`)
	}
	return text + hint(text)
}

// spokenFirst is what net/http makes of a server that says something before it was asked, as gRPC does.
const spokenFirst = "readLoopPeekFailLocked: %!w(<nil>)"

var errSpokenFirst = errors.New("it speaks before it is asked")

// unasked returns what to tell of an admin port that could not be asked because of err.
func unasked(addr string, err error) error {
	if strings.HasSuffix(err.Error(), spokenFirst) {
		err = errSpokenFirst
	}
	return &exit{status: statusUnreachable, err: fmt.Errorf("node at %s: %w%s", addr, err, hint(err.Error()))}
}

// hint returns what may help against what text says that went wrong on the way to a node, "" for nothing.
func hint(text string) string {
	switch {
	case strings.HasSuffix(text, "connection refused"):
		return "; is a node running there?"
	case strings.Contains(text, "looked like an HTTP/1.1 header"):
		return "; it speaks HTTP and not gRPC: is it a node's --grpc address?"
	case strings.Contains(text, "error reading server preface: "): // and then that it ended, was reset, or is no HTTP/2
		return "; if it speaks TLS, say so with --tls-ca FILE or --secure DIR"
	case strings.Contains(text, "malformed HTTP response"), text == errSpokenFirst.Error():
		return "; it does not speak HTTP: is it a node's --admin address?"
	case strings.Contains(text, "first record does not look like a TLS handshake"), strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return "; it does not speak TLS"
	case strings.Contains(text, "certificate signed by unknown authority"):
		return "; the CA of --tls-ca or --secure is not the one of this node"
	}
	return ""
}

// report prints err, the end of a command, and returns the exit status. What cobra found wrong is wrong usage.
func (p *process) report(err error) int {
	if err == nil {
		return statusFine
	}
	var e *exit
	if !errors.As(err, &e) {
		e = &exit{status: statusUsage, err: err}
	}
	if e.err != nil { // err may hold several of them
		fmt.Fprintf(p.stderr, "%s %s\n", p.paint(p.stderr).red("noria:"), err)
	}
	return e.status
}
