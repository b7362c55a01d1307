package api

import (
	"net/http"
	"strconv"

	"google.golang.org/grpc/codes"

	"github.com/noriahq/noria/transport"
)

// WriteProblem answers r with err, which is not nil, as an RFC 9457 problem. It returns what it told; a Failure with Code
// Internal is the node's fault and for the caller to log.
func WriteProblem(w http.ResponseWriter, r *http.Request, err error) transport.Failure {
	told := transport.FailureOf(err)
	b := append([]byte(nil), `{"type":`...)
	b = appendText(b, told.Type)
	b = append(b, `,"title":`...)
	b = appendText(b, told.Title)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(told.Status), 10)
	b = append(b, `,"detail":`...)
	b = appendText(b, told.Detail)
	b = append(b, `,"instance":`...)
	b = appendText(b, clip(r.URL.Path))
	b = append(b, "}\n"...)
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	if told.RetryAfter > 0 {
		h.Set(headerRetryAfter, retryAfter(told.RetryAfter))
	}
	w.WriteHeader(told.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b) // an error means that nobody reads the answer
	}
	return told
}

// problem answers r with err and logs what is the node's fault.
func (h *handler) problem(w http.ResponseWriter, r *http.Request, err error) {
	if WriteProblem(w, r, err).Code == codes.Internal {
		h.log.ErrorContext(r.Context(), "request not decided", "err", err)
	}
}
