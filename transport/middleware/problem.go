package middleware

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/transport"
	"github.com/noriahq/noria/transport/api"
	"github.com/noriahq/noria/transport/client"
)

// statusClientGone is nginx's status for a request whose client went away. Nobody reads it but logs.
const statusClientGone = 499

// kind is the begin of all types of problems.
const kind = "urn:noria:problem:"

// A problem is what a caller is told of a request that did not pass: as JSON one of RFC 9457, in the words of the gateway.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`

	Limit        string `json:"limit,omitempty"`          // of denials
	DeniedBy     string `json:"denied_by,omitempty"`      // of denials: the name of the limit, never the key
	RetryAfterMS *int64 `json:"retry_after_ms,omitempty"` // of denials: -1 if waiting does not help

	after time.Duration // when to come back; 0 says nothing, bucket.Never that it does not help
}

// denial says which limit of v refused. Limits that did without their holder are named degraded-NAME in v from then on.
func denial(v *verdict) problem {
	for i := range v.applied {
		if v.applied[i].Name == "" {
			v.applied[i].Name = "default"
		}
	}
	d := api.Deny(v.applied, func(i int) (bucket.OnLost, int64) { return v.met[i].Request.OnLost, v.met[i].Request.Cost })
	a := &v.applied[d.Main]
	p := problem{
		Type: kind + "denied", Title: "Too many requests", Status: http.StatusTooManyRequests, Detail: d.Detail,
		Limit: a.Limit.String(), DeniedBy: a.Name, after: d.After,
	}
	if d.Lost {
		p.Type, p.Title, p.Status = kind+"undecided", "The limit cannot be decided on", http.StatusServiceUnavailable
	}
	ms := api.Milliseconds(p.after)
	p.RetryAfterMS = &ms
	return p
}

// tooLate says that a request would wait for its turn for too long.
func tooLate(delay time.Duration) problem {
	ms := api.Milliseconds(delay)
	return problem{
		Type: kind + "queue-full", Title: "Too many requests wait", Status: http.StatusTooManyRequests,
		Detail: "too many requests wait for their turn; try again when Retry-After has passed", RetryAfterMS: &ms, after: delay,
	}
}

// undecided says that nobody could decide.
func undecided(err error) problem {
	if !passes(err) {
		return fault()
	}
	return problem{
		Type: kind + "undecided", Title: "The limit cannot be decided on", Status: http.StatusServiceUnavailable,
		Detail: "nobody can tell now whether this request may pass; try again soon", after: time.Second,
	}
}

// fault says that the service has one, of which callers need to know no more.
func fault() problem {
	return problem{
		Type: kind + "internal", Title: "The service has a fault", Status: http.StatusInternalServerError, Detail: "the service's log says more",
	}
}

// passes says whether err is of a cluster that is out of reach or busy, and not of a request that it will never take.
func passes(err error) bool {
	if transport.IsOverloaded(err) || errors.Is(err, client.ErrLost) || errors.Is(err, client.ErrClosed) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	code := transport.FailureOf(err).Code
	if s, is := status.FromError(err); is {
		code = s.Code()
	}
	return code == codes.Unavailable || code == codes.DeadlineExceeded || code == codes.Canceled
}

// write answers r with p.
func (p problem) write(w http.ResponseWriter, r *http.Request) {
	body, err := json.Marshal(p)
	if err != nil {
		http.Error(w, p.Title, p.Status)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if p.after > 0 && p.after != bucket.Never && h.Get("Retry-After") == "" {
		h.Set("Retry-After", strconv.FormatInt(int64((p.after+time.Second-1)/time.Second), 10))
	}
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(append(body, '\n')) // a client that is gone needs no answer
	}
}
