package auth

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/transport"
	"github.com/noriahq/noria/transport/api"
	"github.com/noriahq/noria/transport/gateway/identity"
)

// A refusal is an answer other than yes: an RFC 9457 problem, which some proxies hand on to the client.
type refusal struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`

	Limit        string `json:"limit,omitempty"`          // of denials
	DeniedBy     string `json:"denied_by,omitempty"`      // of denials: the name of the limit, never the key
	RetryAfterMS *int64 `json:"retry_after_ms,omitempty"` // of denials: -1 if waiting does not help

	after time.Duration // when to come back; 0 says nothing, bucket.Never that it does not help
	auth  string        // what WWW-Authenticate says; "" for nothing
}

// kind is the begin of all types of problems.
const kind = "urn:noria:problem:"

// noRoute says that there is no such route, or why it is not for sub-requests.
func noRoute(why string) refusal {
	f := refusal{Type: kind + "no-route", Title: "There is nothing here", Status: http.StatusNotFound, Detail: why}
	if why == "" {
		f.Detail = "the policy has no route of that name; want " + Path + "ROUTE"
	}
	return f
}

// badDeny says that the status of denials cannot be that.
func badDeny(deny string) *refusal {
	if _, err := strconv.Atoi(deny); err != nil || len(deny) > 3 {
		deny = "no number"
	}
	return bad("deny is " + deny + "; want 429 or 403")
}

// badQuestion says what is wrong with the headers of a proxy.
func badQuestion(err error) *refusal { return bad(err.Error()) }

func bad(detail string) *refusal {
	return &refusal{Type: kind + "bad-request", Title: "The request is not valid", Status: http.StatusBadRequest, Detail: detail}
}

// clientGone is for logs alone.
func clientGone() *refusal {
	const closed = 499 // nginx's status for a request whose client went away
	return &refusal{Type: kind + "canceled", Title: "The caller went away", Status: closed}
}

// unknownCaller says that a request's credentials are no good.
func unknownCaller(err error) *refusal {
	if errors.Is(err, identity.ErrUnavailable) {
		return &refusal{
			Type: kind + "credentials-unknown", Title: "The credentials cannot be checked", Status: http.StatusServiceUnavailable,
			Detail: "the keys to check them with are not there yet; try again soon", after: time.Second,
		}
	}
	return &refusal{Type: kind + "unauthorized", Title: "The credentials are not valid", Status: http.StatusUnauthorized, Detail: err.Error(), auth: identity.Challenge(err)}
}

// queueFull says that a request would have to wait for too long, or with too many.
func queueFull(delay time.Duration, status int) *refusal {
	ms := api.Milliseconds(delay)
	return &refusal{
		Type: kind + "queue-full", Title: "Too many requests wait", Status: status,
		Detail: "too many requests wait for their turn; try again when Retry-After has passed", RetryAfterMS: &ms, after: delay,
	}
}

// undecided says that the limiter could not decide.
func undecided(logger *slog.Logger, err error) *refusal {
	if errors.Is(err, context.Canceled) {
		return clientGone()
	}
	told := transport.FailureOf(err)
	if told.Code == codes.Internal {
		logger.Error("sub-request not decided", "err", err)
	}
	// Not told.Detail: it is written for those who may know the nodes and their addresses.
	return &refusal{Type: told.Type, Title: told.Title, Status: told.Status, Detail: "the request could not be decided on", after: told.RetryAfter}
}

// denial says which limit denied, and names it in q.applied as the client is to see it.
func (q *question) denial() *refusal {
	d := api.Deny(q.applied, func(i int) (bucket.OnLost, int64) { return q.limits[i].OnLost, q.reqs[i].Cost })
	a, ms := &q.applied[d.Main], api.Milliseconds(d.After)
	f := refusal{
		Type: kind + "denied", Title: "Too many requests", Status: q.denied, Detail: d.Detail,
		Limit: a.Limit.String(), DeniedBy: a.Name, RetryAfterMS: &ms, after: d.After,
	}
	if d.Lost {
		f.Type, f.Title, f.Status = kind+"undecided", "The limit cannot be decided on", http.StatusServiceUnavailable
	}
	return &f
}

// writeRefusal sends f as a problem.
func writeRefusal(w http.ResponseWriter, r *http.Request, f refusal) {
	body, err := json.Marshal(f)
	if err != nil {
		http.Error(w, f.Title, f.Status)
		return
	}
	body = append(body, '\n')
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	if f.auth != "" {
		h.Set("WWW-Authenticate", f.auth)
	}
	if f.after > 0 && f.after != bucket.Never && h.Get("Retry-After") == "" {
		h.Set("Retry-After", strconv.FormatInt(int64((f.after+time.Second-1)/time.Second), 10))
	}
	w.WriteHeader(f.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that is gone needs no answer
	}
}
