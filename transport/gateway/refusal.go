package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/bucket/policy"
	"github.com/noriahq/noria/transport"
	"github.com/noriahq/noria/transport/api"
	"github.com/noriahq/noria/transport/gateway/identity"
	"github.com/noriahq/noria/transport/gateway/llm"
)

// statusClientGone is nginx's status for a request whose client went away. Nobody reads it but logs.
const statusClientGone = 499

// A refusal is an answer that the gateway gives itself. As JSON it is an RFC 9457 problem.
type refusal struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`

	Limit        string `json:"limit,omitempty"`          // of denials
	DeniedBy     string `json:"denied_by,omitempty"`      // of denials: the name of the limit, never the key
	RetryAfterMS *int64 `json:"retry_after_ms,omitempty"` // of denials: -1 if waiting does not help

	param  string        // the field of a call that is wrong
	tokens bool          // the limit that denied counts tokens
	after  time.Duration // when to come back; 0 says nothing, bucket.Never that it does not help
	auth   string        // what WWW-Authenticate says; "" for nothing
	late   bool          // the client is there, though what it sent came too late and nothing is read from it any more
}

// kind is the begin of all types of problems.
const kind = "urn:noria:problem:"

func noRoute() refusal {
	return refusal{Type: kind + "no-route", Title: "There is nothing here", Status: http.StatusNotFound, Detail: "no route takes this host, method and path"}
}

func badUpstream() refusal {
	return refusal{Type: kind + "upstream", Title: "The upstream cannot be reached", Status: http.StatusBadGateway, Detail: "the gateway's log says more"}
}

func slowUpstream() refusal {
	return refusal{Type: kind + "upstream-timeout", Title: "The upstream does not answer in time", Status: http.StatusGatewayTimeout, Detail: "the gateway's log says more"}
}

func headerTooLarge(most int64) refusal {
	return refusal{
		Type: kind + "header-too-large", Title: "The header is too large", Status: http.StatusRequestHeaderFieldsTooLarge,
		Detail: fmt.Sprintf("want at most %d bytes", most),
	}
}

func bodyTooLarge(most int64) refusal {
	return refusal{
		Type: kind + "too-large", Title: "The request is too large", Status: http.StatusRequestEntityTooLarge,
		Detail: fmt.Sprintf("the body has more than %d bytes", most),
	}
}

func badCall(reason, param string) refusal {
	return refusal{Type: kind + "bad-request", Title: "The request is not valid", Status: http.StatusBadRequest, Detail: reason, param: param}
}

// badBody says why a body could not be read.
func badBody(err error) refusal {
	var (
		large *http.MaxBytesError
		wait  net.Error
	)
	switch {
	case errors.As(err, &large):
		return bodyTooLarge(large.Limit)
	case errors.As(err, &wait) && wait.Timeout():
		return refusal{Type: kind + "slow-request", Title: "The request takes too long", Status: http.StatusRequestTimeout, Detail: "the body did not come in time", late: true}
	}
	return badCall("the body is cut short or broken", "")
}

// unknownCaller says that a request's credentials are no good.
func unknownCaller(err error) refusal {
	if errors.Is(err, identity.ErrUnavailable) {
		return refusal{
			Type: kind + "credentials-unknown", Title: "The credentials cannot be checked", Status: http.StatusServiceUnavailable,
			Detail: "the keys to check them with are not there yet; try again soon", after: time.Second,
		}
	}
	return refusal{Type: kind + "unauthorized", Title: "The credentials are not valid", Status: http.StatusUnauthorized, Detail: err.Error(), auth: identity.Challenge(err)}
}

// queueFull says that a request would have to wait for too long, or with too many.
func queueFull(delay time.Duration) refusal {
	ms := api.Milliseconds(delay)
	return refusal{
		Type: kind + "queue-full", Title: "Too many requests wait", Status: http.StatusTooManyRequests,
		Detail: "too many requests wait for their turn; try again when Retry-After has passed", RetryAfterMS: &ms, after: delay,
	}
}

// undecided says that the limiter could not decide.
func undecided(logger *slog.Logger, err error) refusal {
	if errors.Is(err, context.Canceled) {
		return refusal{Status: statusClientGone}
	}
	told := transport.FailureOf(err)
	if told.Code == codes.Internal {
		logger.Error("check", "err", err)
	}
	// Not told.Detail: it is written for those who may know the nodes and their addresses.
	return refusal{Type: told.Type, Title: told.Title, Status: told.Status, Detail: "the gateway could not decide on the request", after: told.RetryAfter}
}

// denial says which of the limits in firm denied, and names it in x.applied as the client is to see it.
func (x *exchange) denial(firm []asked) refusal {
	d := api.Deny(x.applied, func(i int) (bucket.OnLost, int64) { return firm[i].limit.OnLost, firm[i].req.Cost })
	a, ms := &x.applied[d.Main], api.Milliseconds(d.After)
	f := refusal{
		Type: kind + "denied", Title: "Too many requests", Status: http.StatusTooManyRequests, Detail: d.Detail,
		Limit: a.Limit.String(), DeniedBy: a.Name, RetryAfterMS: &ms, tokens: firm[d.Main].limit.Unit == policy.LLMTokens, after: d.After,
	}
	if d.Lost {
		f.Type, f.Title, f.Status = kind+"undecided", "The limit cannot be decided on", http.StatusServiceUnavailable
	}
	return f
}

// refuse answers with f, in the shape that the route's clients read.
func (x *exchange) refuse(w http.ResponseWriter, r *http.Request, f refusal) {
	if r.Context().Err() != nil && !f.late || f.Status == statusClientGone {
		w.WriteHeader(statusClientGone)
		return
	}
	h := w.Header()
	x.writeHeaders(h)
	if f.auth != "" {
		h.Set("WWW-Authenticate", f.auth)
	}
	style, speaks := x.site.speaksLLM()
	if !speaks {
		if f.after > 0 && f.after != bucket.Never && h.Get("Retry-After") == "" {
			h.Set("Retry-After", retryAfter(f.after))
		}
		writeProblem(w, f)
		return
	}
	hard := f.after == bucket.Never
	if hard {
		f.after = 0
	}
	llm.WriteRefusal(w, style, llm.Refusal{
		Status: f.Status, Message: f.Title + ": " + f.Detail, Param: f.param, RequestID: x.id, Tokens: f.tokens, RetryAfter: f.after, Hard: hard,
	})
}

// writeProblem sends f as a problem.
func writeProblem(w http.ResponseWriter, f refusal) {
	body, err := json.Marshal(f)
	if err != nil {
		http.Error(w, f.Title, f.Status)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(f.Status)
	_, _ = w.Write(append(body, '\n')) // a client that is gone needs no answer
}

// retryAfter returns d in whole seconds, rounded up.
func retryAfter(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// budgets returns what the tightest limits of each kind have left, for the headers of language models.
func (x *exchange) budgets() (b llm.Budgets) {
	for i := range x.applied {
		a := &x.applied[i]
		d := &a.Decision
		if unasked(*a) {
			continue
		}
		left := &llm.Budget{Limit: a.Limit.Burst, Remaining: d.Remaining, Reset: d.ResetAfter}
		to := &b.Requests
		switch x.asked[i].limit.Unit {
		case policy.LLMTokens:
			to = &b.Tokens
		case policy.Requests:
		case policy.Concurrency, policy.Bytes:
			continue
		}
		if *to == nil || left.Remaining < (*to).Remaining {
			*to = left
		}
	}
	return b
}
