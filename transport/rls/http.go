package rls

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	ratelimitpb "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/noriahq/noria/transport"
	"github.com/noriahq/noria/transport/api"
)

// Path is where a Service is served on the port of the HTTP API.
const Path = "/json"

// ServeHTTP implements http.Handler: POST of a RateLimitRequest in JSON is answered with a RateLimitResponse, 200 if it is
// OK and 429 if it is over a limit, with the headers of api.WriteHeaders; and what is wrong with an RFC 9457 problem.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := s.post(w, r); err != nil {
		s.logFault(r.Context(), err)
		api.WriteProblem(w, r, err)
	}
}

// post answers r, unless it returns an error.
func (s *Service) post(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return fmt.Errorf("%w: want POST %s", transport.ErrMethod, Path)
	}
	m, err := readJSON(w, r)
	if err != nil {
		return err
	}
	q, err := s.answer(r.Context(), m)
	if err != nil {
		return err
	}
	body, err := protojson.Marshal(q.response(m))
	if err != nil {
		return fmt.Errorf("response: %w", err)
	}
	h := w.Header()
	q.writeHeaders(h)
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if q.allowed() {
		w.WriteHeader(http.StatusOK)
	} else {
		w.WriteHeader(http.StatusTooManyRequests)
	}
	_, _ = w.Write(body) // an error means that nobody reads the answer
	return nil
}

// readJSON reads the body of r. What it says of itself is not looked at: curl -d says that it is a form.
func readJSON(w http.ResponseWriter, r *http.Request) (*ratelimitpb.RateLimitRequest, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, api.MaxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, fmt.Errorf("%w: the body has more than %d bytes", transport.ErrTooLarge, api.MaxBody)
	case err != nil:
		return nil, fmt.Errorf("%w: the body breaks off after %d bytes", transport.ErrRequest, len(body))
	}
	m := &ratelimitpb.RateLimitRequest{}
	if err := protojson.Unmarshal(body, m); err != nil {
		return nil, fmt.Errorf("%w: want a RateLimitRequest in JSON: %w", transport.ErrRequest, err)
	}
	return m, nil
}
