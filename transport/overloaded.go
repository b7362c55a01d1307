package transport

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// overloaded is the Failure of ErrOverloaded.
func overloaded() Failure {
	f := fault(codes.ResourceExhausted, http.StatusServiceUnavailable, "overloaded", "The node has too much to do")
	f.RetryAfter = soon
	return f
}

// Overloaded returns the status of ErrOverloaded, which wraps it: RESOURCE_EXHAUSTED with the reason ReasonOverloaded and
// a RetryInfo of half a second to one and a half, so that those who are told do not come back all at once.
func Overloaded() error { return refusals[rand.IntN(len(refusals))] }

// refusals are what Overloaded returns: an overloaded node has no time to make them.
var refusals = func() (all [8]error) { //nolint:gochecknoglobals // never changed
	for i := range all {
		s := status.New(codes.ResourceExhausted, overloadedDetail)
		more, err := s.WithDetails(
			&errdetails.ErrorInfo{Reason: ReasonOverloaded, Domain: Domain},
			&errdetails.RetryInfo{RetryDelay: durationpb.New(soon/2 + soon*time.Duration(i)/time.Duration(len(all)-1))})
		if err == nil { // they can be told
			s = more
		}
		all[i] = &refusal{s}
	}
	return all
}()

// overloadedDetail is what callers are told of ErrOverloaded.
const overloadedDetail = "overloaded: the node has too much to do; nothing was taken, ask again a little later"

// A refusal is a status that wraps ErrOverloaded.
type refusal struct{ status *status.Status }

func (r *refusal) Error() string              { return r.status.Err().Error() }
func (r *refusal) GRPCStatus() *status.Status { return r.status }
func (r *refusal) Unwrap() error              { return ErrOverloaded }

// IsOverloaded says whether err is ErrOverloaded or the status by which another node says so.
func IsOverloaded(err error) bool {
	if errors.Is(err, ErrOverloaded) {
		return true
	}
	s, is := status.FromError(err)
	if !is || s.Code() != codes.ResourceExhausted {
		return false
	}
	for _, d := range s.Details() {
		if info, is := d.(*errdetails.ErrorInfo); is && info.GetReason() == ReasonOverloaded && info.GetDomain() == Domain {
			return true
		}
	}
	return false
}
