// Package transport says what an error means to a caller: its gRPC code, its HTTP status and its problem type.
package transport

import (
	"context"
	"errors"
	"net/http"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
)

// Errors of requests that do not get as far as a limiter.
var (
	ErrRequest   = errors.New("bad request")        // not what the API reads: syntax, unknown or missing fields
	ErrTooLarge  = errors.New("request too large")  // more bytes or checks than the API takes
	ErrMediaType = errors.New("bad media type")     // the body is not said to be JSON
	ErrMethod    = errors.New("method not allowed") // wrong HTTP method for the path
	ErrNotFound  = errors.New("no such path")

	ErrUnauthenticated = errors.New("not authenticated") // no token or client certificate, or one that is not known

	ErrUnsupported = errors.New("not supported") // the protocol has it and this node does not

	// ErrOverloaded says that the node has too much to do to look at a request. Nothing was taken.
	ErrOverloaded = errors.New("overloaded")
)

// What the status RESOURCE_EXHAUSTED has as details where it is ErrOverloaded, and not a limit that denied: an ErrorInfo
// with this reason and domain, and a RetryInfo.
const (
	ReasonOverloaded = "OVERLOADED"
	Domain           = "noria"
)

// A Failure is what a caller is told of an error.
type Failure struct {
	// Code is the gRPC status code.
	Code codes.Code

	// Status is the HTTP status code.
	Status int

	// Type names the kind of problem: the "type" of an RFC 9457 problem, a URN.
	Type string

	// Title says the same for people. It is equal for all problems of one Type.
	Title string

	// RetryAfter is how long a caller should wait before it asks again, 0 if asking again does not help.
	RetryAfter time.Duration

	// Detail says what was wrong this time and what would be right. It tells nothing of errors that are not in the table,
	// because nobody wrote those for callers.
	Detail string
}

// statusClosedRequest is nginx's status for a request whose client went away. Nobody reads it but logs.
const statusClosedRequest = 499

// soon is when a caller should come back to a node that is starting, stopping or cut off.
const soon = time.Second

// table returns, for each error that a caller may see, what it means. Where an error wraps several of them the first row
// counts.
func table() []row {
	return []row{
		{bucket.ErrLimit, bad("bad-limit", "The limit is not valid")},
		{bucket.ErrKey, bad("bad-key", "The key is not valid")},
		{bucket.ErrCost, bad("bad-cost", "The cost is not valid")},
		{bucket.ErrID, bad("bad-id", "The request id is not valid")},
		{bucket.ErrReserve, bad("bad-reservation", "The reservation is not valid")},
		{bucket.ErrConflict, bad("conflict", "Two checks contradict each other")},
		{bucket.ErrMoved, unavailable("moved", "The bucket is moving to another node")},
		{bucket.ErrFull, unavailable("full", "The node has no room for another bucket or reservation")},

		{ErrTooLarge, fault(codes.ResourceExhausted, http.StatusRequestEntityTooLarge, "too-large", "The request is too large")},
		{ErrMediaType, fault(codes.InvalidArgument, http.StatusUnsupportedMediaType, "bad-media-type", "The body is not JSON")},
		{ErrMethod, fault(codes.Unimplemented, http.StatusMethodNotAllowed, "bad-method", "The path does not know this method")},
		{ErrNotFound, fault(codes.NotFound, http.StatusNotFound, "no-such-path", "There is nothing here")},
		{ErrUnauthenticated, fault(codes.Unauthenticated, http.StatusUnauthorized, "unauthenticated", "The caller has not said who it is")},
		{ErrUnsupported, fault(codes.Unimplemented, http.StatusNotImplemented, "unsupported", "The node does not do this")},
		{ErrOverloaded, overloaded()},
		{ErrRequest, bad("bad-request", "The request is not valid")},

		{cluster.ErrNotReady, unavailable("not-ready", "The node has not joined yet")},
		{cluster.ErrClosed, unavailable("closed", "The node is stopping")},
		{cluster.ErrPeerLost, unavailable("peer-lost", "The holder of the key cannot be reached")},
		{cluster.ErrPeerSilent, unavailable("peer-lost", "The holder of the key cannot be reached")},
		{cluster.ErrPeerBusy, unavailable("peer-lost", "The holder of the key cannot be reached")},
		{cluster.ErrPeerRefused, unavailable("peer-lost", "The holder of the key cannot be reached")},
		{cluster.ErrPeerShutdown, unavailable("closed", "The node is stopping")},
		{cluster.ErrNoSeed, unavailable("not-ready", "The node has not joined yet")},
		{cluster.ErrNameTaken, fault(codes.AlreadyExists, http.StatusConflict, "name-taken", "The name is taken")},
		{cluster.ErrMismatch, fault(codes.FailedPrecondition, http.StatusConflict, "mismatch", "The node does not fit this cluster")},
		{cluster.ErrConfig, bad("bad-configuration", "The configuration is not valid")},
		{cluster.ErrOld, unavailable("old-holder", "The holder of the key runs an older version")},
		{cluster.ErrAskInvalid, fault(codes.Internal, http.StatusInternalServerError, "internal", "The node has a fault")},
		{cluster.ErrNotSaved, fault(codes.Internal, http.StatusInternalServerError, "internal", "The node has a fault")},

		{cluster.ErrTooLate, fault(codes.DeadlineExceeded, http.StatusGatewayTimeout, "too-late", "The deadline is before the tokens are there")},
		{context.DeadlineExceeded, fault(codes.DeadlineExceeded, http.StatusGatewayTimeout, "deadline", "The deadline passed")},
		{context.Canceled, fault(codes.Canceled, statusClosedRequest, "canceled", "The caller went away")},
	}
}

// A row of the table says that errors which wrap err are told as Failure.
type row struct {
	err  error
	told Failure
}

// fault is a Failure that asking again does not mend.
func fault(code codes.Code, httpStatus int, kind, title string) Failure {
	return Failure{Code: code, Status: httpStatus, Type: "urn:noria:problem:" + kind, Title: title}
}

// bad is a Failure of the caller's making.
func bad(kind, title string) Failure {
	return fault(codes.InvalidArgument, http.StatusBadRequest, kind, title)
}

// unavailable is a Failure that passes by itself.
func unavailable(kind, title string) Failure {
	f := fault(codes.Unavailable, http.StatusServiceUnavailable, kind, title)
	f.RetryAfter = soon
	return f
}

// FailureOf returns what to tell a caller of err, which is not nil. A Failure with Code Internal is this node's fault and
// worth a log line.
func FailureOf(err error) Failure {
	told := fault(codes.Internal, http.StatusInternalServerError, "internal", "The node has a fault")
	for _, r := range table() {
		if errors.Is(err, r.err) {
			told = r.told
			break
		}
	}
	if told.Code == codes.Internal {
		told.Detail = "the node's log says more"
	} else {
		told.Detail = err.Error()
	}
	return told
}

// GRPC returns err as a gRPC status error, nil for nil. An error that has a status already keeps it.
func GRPC(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	if errors.Is(err, ErrOverloaded) {
		return Overloaded()
	}
	told := FailureOf(err)
	return status.Error(told.Code, told.Detail)
}
