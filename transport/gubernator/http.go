package gubernator

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/noriahq/noria/transport/api"
	pb "github.com/noriahq/noria/transport/gubernatorpb"
)

// The paths of the JSON API.
const (
	PathGetRateLimits = "/v1/GetRateLimits"
	PathHealthCheck   = "/v1/HealthCheck"
	PathLiveCheck     = "/v1/LiveCheck"
)

// ServeHTTP implements http.Handler for the paths of the JSON API. Bodies are protobuf's JSON with the names of the .proto file, as
// Gubernator has them: 64-bit numbers are strings, and fields that are not known are left aside.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var (
		out  proto.Message
		err  error
		want = http.MethodGet
	)
	if r.URL.Path == PathGetRateLimits {
		want = http.MethodPost
	}
	if r.Method != want && (want != http.MethodGet || r.Method != http.MethodHead) {
		w.Header().Set("Allow", want)
		writeJSON(w, r, http.StatusMethodNotAllowed, errorBody(codes.Unimplemented, "Method Not Allowed"))
		return
	}
	switch r.URL.Path {
	case PathGetRateLimits:
		out, err = s.readAndDecide(w, r)
	case PathHealthCheck:
		out, err = s.HealthCheck(r.Context(), nil)
	case PathLiveCheck:
		out, err = s.LiveCheck(r.Context(), nil)
	default:
		err = status.Error(codes.NotFound, "Not Found")
	}
	if err != nil {
		told, _ := status.FromError(err)
		writeJSON(w, r, httpStatus(told.Code()), errorBody(told.Code(), told.Message()))
		return
	}
	body, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(out)
	if err != nil {
		writeJSON(w, r, http.StatusInternalServerError, errorBody(codes.Internal, "the node has a fault"))
		return
	}
	writeJSON(w, r, http.StatusOK, body)
}

// readAndDecide answers POST /v1/GetRateLimits.
func (s *Server) readAndDecide(w http.ResponseWriter, r *http.Request) (*pb.GetRateLimitsResp, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, api.MaxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, status.Errorf(codes.ResourceExhausted, "the body has more than %d bytes", large.Limit)
	case err != nil:
		return nil, status.Error(codes.InvalidArgument, "the body breaks off")
	}
	var in pb.GetRateLimitsReq
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(body, &in); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return s.GetRateLimits(r.Context(), &in)
}

// httpStatus returns the HTTP status of the codes of this package.
func httpStatus(c codes.Code) int {
	switch {
	case c == codes.NotFound:
		return http.StatusNotFound
	case c == codes.ResourceExhausted:
		return http.StatusRequestEntityTooLarge
	case c == codes.InvalidArgument || c == codes.OutOfRange:
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}

// errorBody returns an error as Gubernator's JSON has it.
func errorBody(c codes.Code, message string) []byte {
	b, err := json.Marshal(struct {
		Code    codes.Code `json:"code"`
		Message string     `json:"message"`
		Details []struct{} `json:"details"`
	}{c, message, []struct{}{}})
	if err != nil {
		return []byte("{}")
	}
	return b
}

// writeJSON answers with body.
func writeJSON(w http.ResponseWriter, r *http.Request, code int, body []byte) {
	body = append(body, '\n')
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // an error means that nobody reads the answer
	}
}
