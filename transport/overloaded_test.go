package transport

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Overload is told apart from all else that is RESOURCE_EXHAUSTED, here and by those who are told over the wire.
func TestOverloaded(t *testing.T) {
	for range 100 {
		err := GRPC(fmt.Errorf("check: %w", ErrOverloaded))
		if !errors.Is(err, ErrOverloaded) || status.Code(err) != codes.ResourceExhausted {
			t.Fatalf("GRPC(ErrOverloaded) = %v, want RESOURCE_EXHAUSTED that wraps it", err)
		}
		wire := status.FromProto(status.Convert(err).Proto()).Err()
		for _, err := range []error{err, wire, fmt.Errorf("ask: %w", wire)} {
			if !IsOverloaded(err) {
				t.Fatalf("IsOverloaded(%v) is false, want true", err)
			}
		}
		var retry time.Duration
		for _, d := range status.Convert(wire).Details() {
			if info, is := d.(*errdetails.RetryInfo); is {
				retry = info.GetRetryDelay().AsDuration()
			}
		}
		if retry < 500*time.Millisecond || retry > 1500*time.Millisecond {
			t.Fatalf("RetryInfo is %v, want 0.5s to 1.5s", retry)
		}
	}
	for _, err := range []error{nil, errors.New("overloaded"), GRPC(ErrTooLarge), status.Error(codes.ResourceExhausted, "denied")} {
		if IsOverloaded(err) {
			t.Errorf("IsOverloaded(%v) is true, want false", err)
		}
	}
	if f := FailureOf(ErrOverloaded); f.Status != 503 || f.Type != "urn:noria:problem:overloaded" || f.RetryAfter != time.Second {
		t.Errorf("FailureOf(ErrOverloaded) = %+v, want 503 and to come back in a second", f)
	}
}
