package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/ring"
	"github.com/noriahq/noria/transport"
)

const (
	bodyMost  = 16 << 10 // bytes of a request
	checkWait = 2 * time.Second
)

var (
	errBack = fmt.Errorf("back: want 0 to %d", toldKept)
	errKind = errors.New("want the Content-Type application/json")
)

// A keyRequest asks what is known of a key.
type keyRequest struct {
	Key string `json:"key"`

	// Seen is, by member, the number of the last decision that is known already.
	Seen map[ring.Member]uint64 `json:"seen"`
}

// A keyAnswer is what is known of a key.
type keyAnswer struct {
	Key     string                            `json:"key"`
	At      time.Time                         `json:"at"`
	Place   cluster.Place                     `json:"place"`
	Members map[ring.Member]cluster.KeyReport `json:"members"` // what each of them says
	Silent  []ring.Member                     `json:"silent"`  // who does not say
}

// A checkRequest asks for a test check.
type checkRequest struct {
	Key   string `json:"key"`
	Limit string `json:"limit"`
	Cost  int64  `json:"cost"`
}

// A checkAnswer is what came of it.
type checkAnswer struct {
	Allowed   bool          `json:"allowed"`
	Limit     string        `json:"limit"`
	Cost      int64         `json:"cost"`
	Remaining int64         `json:"remaining"`
	Retry     time.Duration `json:"retry_ns"`
	Reset     time.Duration `json:"reset_ns"`
	Node      string        `json:"node"`
	Source    string        `json:"source"`
	Degraded  bool          `json:"degraded"`
	Took      time.Duration `json:"took_ns"`
}

// admins lets admins through to f, where the request is one that another site's page cannot make.
func (c *Console) admins(f func(http.ResponseWriter, *http.Request)) http.HandlerFunc {
	guard := http.NewCrossOriginProtection()
	return func(w http.ResponseWriter, r *http.Request) {
		if err := guard.Check(r); err != nil {
			problem(w, http.StatusForbidden, err.Error())
			return
		}
		if !c.config.Admin(r) {
			problem(w, http.StatusForbidden, "keys are for admins: show an admin token")
			return
		}
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			problem(w, http.StatusUnsupportedMediaType, errKind.Error())
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, bodyMost)
		f(w, r)
	}
}

// read reads the request into to, and answers it where it is wrong.
func read(w http.ResponseWriter, r *http.Request, to any) bool {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		problem(w, http.StatusBadRequest, "the request is not JSON as it should be: "+err.Error())
		return false
	}
	return true
}

// key tells what the members know of a key.
func (c *Console) key(w http.ResponseWriter, r *http.Request) {
	var q keyRequest
	if !read(w, r, &q) {
		return
	}
	place, err := c.config.Node.Where(q.Key)
	if err != nil {
		failed(w, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), checkWait)
	defer cancel()
	reports, err := c.config.Node.Reports(ctx, func(id ring.Member) cluster.Question {
		return cluster.Question{Key: q.Key, Seen: q.Seen[id]}
	})
	if err != nil {
		failed(w, err)
		return
	}
	a := keyAnswer{Key: q.Key, At: time.Now().UTC(), Place: place, Members: map[ring.Member]cluster.KeyReport{}, Silent: []ring.Member{}}
	for i := range reports {
		if k := reports[i].Key; k != nil {
			a.Members[reports[i].Node] = *k
		} else {
			a.Silent = append(a.Silent, reports[i].Node)
		}
	}
	c.json(w, http.StatusOK, a)
}

// check checks a key as a client would.
func (c *Console) check(w http.ResponseWriter, r *http.Request) {
	var q checkRequest
	if !read(w, r, &q) {
		return
	}
	limit, err := bucket.ParseLimit(q.Limit)
	if err != nil {
		failed(w, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), checkWait)
	defer cancel()
	began := time.Now()
	d, err := c.config.Node.Check(ctx, bucket.Request{Key: q.Key, Limit: limit, Cost: q.Cost})
	if err != nil {
		failed(w, err)
		return
	}
	c.config.Logger.Info("a test check was made in the console", "peer", d.Node, "took", time.Since(began))
	c.json(w, http.StatusOK, checkAnswer{
		Allowed: d.Allowed, Limit: limit.String(), Cost: q.Cost, Remaining: d.Remaining, Retry: d.RetryAfter, Reset: d.ResetAfter,
		Node: d.Node, Source: d.Source.String(), Degraded: d.Degraded, Took: time.Since(began),
	})
}

// json answers with data.
func (c *Console) json(w http.ResponseWriter, status int, data any) {
	b, err := json.Marshal(data)
	if err != nil { // cannot be: data is strings and numbers
		problem(w, http.StatusInternalServerError, err.Error())
		return
	}
	h := w.Header()
	safe(h)
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // an error means that nobody reads the answer
}

// failed answers that err kept something from being done.
func failed(w http.ResponseWriter, err error) {
	f := transport.FailureOf(err)
	problem(w, f.Status, f.Detail)
}

// problem answers with a problem.
func problem(w http.ResponseWriter, status int, detail string) {
	b, err := json.Marshal(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail})
	if err != nil { // cannot be
		b = nil
	}
	h := w.Header()
	safe(h)
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // an error means that nobody reads the answer
}
