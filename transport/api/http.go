package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/noriahq/noria/transport"
)

// The paths of the HTTP API.
const (
	PathCheck  = "/v1/check"
	PathReset  = "/v1/reset"
	PathStatus = "/v1/status"

	PathReserve = "/v1/reserve"
	PathSettle  = "/v1/settle"
	PathCancel  = "/v1/cancel"
	PathAcquire = "/v1/acquire"
	PathRelease = "/v1/release"
)

// NewHTTP returns the HTTP/JSON API over l: POST /v1/check, /v1/reserve, /v1/settle, /v1/cancel, /v1/acquire, /v1/release and
// /v1/reset, and GET /v1/status.
//
// Durations are in whole milliseconds, rounded up; -1 says never. A body of checks is answered with the fields of the
// whole, which are those of the first check that was denied or else of the one with the fewest tokens left, and an array
// checks with each one's. A request that has to wait for its turn is answered when it comes; where the server does not
// wait (see Config.MaxHold), the answer has delay_ms, which the caller still has to wait.
func NewHTTP(l Limiter, c Config) http.Handler {
	c = c.withDefaults()
	h := &handler{limiter: l, limits: newLimits(), turns: newTurns(c), log: c.Log}
	h.work.New = func() any { return new(work) }
	return h
}

// A handler is the HTTP/JSON API.
type handler struct {
	limiter Limiter
	limits  *limits
	turns   *turns
	log     *slog.Logger
	work    sync.Pool // of *work
}

// work is what one request needs and the next can use again.
type work struct {
	body    []byte
	decoder decoder
	applied []Applied
	out     []byte
}

// maxKept is the most bytes of a buffer that is kept for the next request.
const maxKept = 64 << 10

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var err error
	switch r.URL.Path {
	case PathCheck:
		err = h.post(w, r, h.check)
	case PathReset:
		err = h.post(w, r, h.reset)
	case PathReserve:
		err = h.post(w, r, h.reserve)
	case PathAcquire:
		err = h.post(w, r, h.acquire)
	case PathSettle:
		err = h.post(w, r, h.settle)
	case PathCancel, PathRelease:
		err = h.post(w, r, h.cancel)
	case PathStatus:
		err = h.status(w, r)
	default:
		err = fmt.Errorf("%w: %s; want POST %s, POST %s or GET %s", transport.ErrNotFound, clip(r.URL.Path), PathCheck, PathReset, PathStatus)
	}
	if err != nil {
		h.problem(w, r, err)
	}
}

// post reads the body of a POST request and hands it to serve. What it returned an error for is not answered yet.
func (h *handler) post(w http.ResponseWriter, r *http.Request, serve func(http.ResponseWriter, *http.Request, *work) error) error {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return fmt.Errorf("%w: %s %s; want POST", transport.ErrMethod, clip(r.Method), r.URL.Path)
	}
	if err := isJSON(r.Header); err != nil {
		return err
	}
	k := h.work.Get().(*work)
	defer h.done(k)
	if err := k.read(w, r); err != nil {
		return err
	}
	return serve(w, r, k)
}

// done keeps k for the next request.
func (h *handler) done(k *work) {
	if cap(k.body) > maxKept || cap(k.out) > maxKept {
		return
	}
	clear(k.decoder.checks) // they hold strings
	clear(k.applied)
	h.work.Put(k)
}

// read reads the body of r.
func (k *work) read(w http.ResponseWriter, r *http.Request) error {
	k.body = k.body[:0]
	if r.ContentLength > MaxBody {
		return tooLarge()
	}
	in := http.MaxBytesReader(w, r.Body, MaxBody)
	for {
		if len(k.body) == cap(k.body) {
			k.body = append(k.body, make([]byte, max(512, len(k.body)))...)[:len(k.body)]
		}
		n, err := in.Read(k.body[len(k.body):cap(k.body)])
		k.body = k.body[:len(k.body)+n]
		var large *http.MaxBytesError
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &large):
			return tooLarge()
		default:
			return fmt.Errorf("%w: the body breaks off after %d bytes", transport.ErrRequest, len(k.body))
		}
	}
}

// tooLarge says that a body is longer than MaxBody.
func tooLarge() error {
	return fmt.Errorf("%w: the body has more than %d bytes; split what need not be all or nothing", transport.ErrTooLarge, MaxBody)
}

// isJSON checks that the body is said to be JSON, or nothing is said of it.
func isJSON(h http.Header) error {
	if coding := h.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return fmt.Errorf("%w: Content-Encoding is %q; want a body that is not compressed", transport.ErrMediaType, clip(coding))
	}
	switch said := h.Get("Content-Type"); said {
	case "", "application/json":
		return nil
	default:
		kind, params, err := mime.ParseMediaType(said)
		if charset := params["charset"]; err == nil && kind == "application/json" && (charset == "" || strings.EqualFold(charset, "utf-8")) {
			return nil
		}
		return fmt.Errorf("%w: Content-Type is %q; want application/json", transport.ErrMediaType, clip(said))
	}
}

// check answers POST /v1/check.
func (h *handler) check(w http.ResponseWriter, r *http.Request, k *work) error {
	d := &k.decoder
	*d = decoder{scanner: scanner{data: k.body}, limits: h.limits, checks: d.checks[:0]}
	if err := d.decode(); err != nil {
		return err
	}
	return h.decide(w, r, k)
}

// decide answers what k has decoded.
func (h *handler) decide(w http.ResponseWriter, r *http.Request, k *work) error {
	d := &k.decoder
	v, err := decide(r.Context(), h.limiter, d.checks)
	if err != nil {
		return err
	}
	left, err := h.turns.wait(r.Context(), v.delay)
	if err != nil {
		return err
	}
	v.held(left)
	k.apply(&v)
	WriteHeaders(w.Header(), k.applied)
	k.out = appendAnswer(k.out[:0], d.checks, &v, d.many)
	status := http.StatusOK
	if !v.allowed {
		status = http.StatusTooManyRequests
	}
	writeJSON(w, status, k.out)
	return nil
}

// apply fills in k's limits for the headers of v.
func (k *work) apply(v *verdict) {
	k.applied = k.applied[:0]
	for i := range k.decoder.checks {
		c := &k.decoder.checks[i]
		k.applied = append(k.applied, Applied{Name: c.label(), Limit: c.req.Limit, Decision: v.decisions[i]})
	}
}

// reset answers POST /v1/reset.
func (h *handler) reset(w http.ResponseWriter, r *http.Request, k *work) error {
	d := &k.decoder
	*d = decoder{scanner: scanner{data: k.body, in: single}, limits: h.limits, checks: d.checks[:0]}
	key, err := d.resetKey()
	if err != nil {
		return err
	}
	if err := h.limiter.Reset(r.Context(), key); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, []byte("{\"reset\":true}\n"))
	return nil
}

// status answers GET /v1/status.
func (h *handler) status(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return fmt.Errorf("%w: %s %s; want GET", transport.ErrMethod, clip(r.Method), r.URL.Path)
	}
	b, err := json.Marshal(h.limiter.Status())
	if err != nil {
		return fmt.Errorf("status: %w", err)
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, append(b, '\n'))
	return nil
}

// writeJSON answers with body.
func writeJSON(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body) // an error means that nobody reads the answer
}
