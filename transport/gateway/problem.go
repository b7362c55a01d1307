package gateway

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/transport"
	"github.com/noriahq/noria/transport/api"
)

// statusClientGone is nginx's status for a request whose client went away. Nobody reads it but logs.
const statusClientGone = 499

// A problem is the body of an answer that the gateway gives itself: an RFC 9457 problem.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`

	Limit        string `json:"limit,omitempty"`          // of refusals
	DeniedBy     string `json:"denied_by,omitempty"`      // of refusals: the kind of key, never the key
	RetryAfterMS *int64 `json:"retry_after_ms,omitempty"` // of refusals: -1 if waiting does not help
}

// denied says that a, which a request met, refused it.
func denied(a api.Applied) problem {
	p := problem{
		Type: "urn:noria:problem:denied", Title: "Too many requests", Status: http.StatusTooManyRequests,
		Limit: a.Limit.String(), DeniedBy: a.Name,
	}
	after := int64(-1)
	p.Detail = "the limit of " + p.Limit + " is used up for good"
	if d := a.Decision.RetryAfter; d != bucket.Never {
		after = int64((d + time.Millisecond - 1) / time.Millisecond)
		p.Detail = "the limit of " + p.Limit + " is reached; try again when Retry-After has passed"
	}
	p.RetryAfterMS = &after
	return p
}

// badUpstream says that the upstream cannot be reached or broke off.
func badUpstream() problem {
	return problem{
		Type: "urn:noria:problem:upstream", Title: "The upstream cannot be reached", Status: http.StatusBadGateway,
		Detail: "the gateway's log says more",
	}
}

// slowUpstream says that the upstream took too long.
func slowUpstream() problem {
	return problem{
		Type: "urn:noria:problem:upstream-timeout", Title: "The upstream does not answer in time", Status: http.StatusGatewayTimeout,
		Detail: "the gateway's log says more",
	}
}

// refuse answers a request on which the limiter did not decide.
func (g *gateway) refuse(w http.ResponseWriter, r *http.Request, err error) {
	told := transport.FailureOf(err)
	if told.Code == codes.Internal {
		g.config.Logger.Error("check", "err", err)
	}
	if r.Context().Err() != nil {
		w.WriteHeader(statusClientGone)
		return
	}
	if told.RetryAfter > 0 {
		w.Header().Set("Retry-After", retryAfter(told.RetryAfter))
	}
	// Not told.Detail: it is written for those who may know the nodes and their addresses.
	writeProblem(w, problem{Type: told.Type, Title: told.Title, Status: told.Status, Detail: "the gateway could not decide on the request"})
}

// writeProblem sends p.
func writeProblem(w http.ResponseWriter, p problem) {
	body, err := json.Marshal(p)
	if err != nil {
		http.Error(w, p.Title, p.Status)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n')) // a client that is gone needs no answer
}

// retryAfter returns d in whole seconds, rounded up.
func retryAfter(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
