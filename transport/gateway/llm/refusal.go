package llm

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// patience is how long SDKs wait at most because they are told to. Some ignore what is longer, and come back within a
// second.
const patience = time.Minute

// never is how long nobody waits: a limit that says so has no more to give.
const never = 2 * 365 * 24 * time.Hour

// A Refusal is an answer that the gateway gives itself, in place of the upstream's.
type Refusal struct {
	// Status is the answer's: 400, 401, 403, 404, 413, 429, 502, 503, 504 and others of 400 and above.
	Status int

	// Message says to people what is wrong and what to do. It must give nothing away.
	Message string

	// Param is the field of the request that is wrong, empty for none.
	Param string

	// RequestID names the request, as it may be in logs. Empty leaves it out.
	RequestID string

	// Tokens is whether the limit that refused counts tokens, not requests.
	Tokens bool

	// RetryAfter is when a retry may succeed. 0, and years, say nothing of it.
	RetryAfter time.Duration

	// Hard is whether waiting does not help, so that SDKs are not to retry. They are not to, either, where RetryAfter is
	// longer than a minute.
	Hard bool
}

// WriteRefusal answers with d, in the shape that the SDKs of style s read, and with retry-after, retry-after-ms and
// x-should-retry. It keeps the header fields that are set already.
func WriteRefusal(w http.ResponseWriter, s Style, d Refusal) {
	var body any
	h := w.Header()
	switch s {
	case Anthropic:
		body = anthropicBody(d)
		setUnlessEmpty(h, "Request-Id", d.RequestID)
	default:
		body = openAIBody(d)
		setUnlessEmpty(h, "X-Request-Id", d.RequestID)
	}
	text, err := json.Marshal(body)
	if err != nil {
		http.Error(w, d.Message, d.Status)
		return
	}
	writeRetry(h, d)
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(d.Status)
	_, _ = w.Write(append(text, '\n')) // a client that is gone needs no answer
}

// setUnlessEmpty sets a header field to value, if that is not empty.
func setUnlessEmpty(h http.Header, name, value string) {
	if value != "" {
		h.Set(name, value)
	}
}

// writeRetry says whether and when to come back.
func writeRetry(h http.Header, d Refusal) {
	if d.RetryAfter > 0 && d.RetryAfter < never {
		h.Set("Retry-After", strconv.FormatInt(roundUp(d.RetryAfter, time.Second), 10))
		h.Set("Retry-After-Ms", strconv.FormatInt(roundUp(d.RetryAfter, time.Millisecond), 10))
	}
	if d.Hard || d.RetryAfter > patience {
		h.Set("X-Should-Retry", "false")
	}
}

// roundUp returns how many units d has, rounded up.
func roundUp(d, unit time.Duration) int64 {
	n := int64(d / unit)
	if d%unit > 0 {
		n++
	}
	return n
}

// openAIError is the body of an answer that OpenAI's SDKs make an error of.
type openAIError struct {
	Error struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    *string `json:"code"`
	} `json:"error"`
}

// openAIBody returns the body that says d.
func openAIBody(d Refusal) openAIError {
	var body openAIError
	e := &body.Error
	e.Message = d.Message
	if d.Param != "" {
		e.Param = &d.Param
	}
	code := ""
	switch {
	case d.Status == http.StatusUnauthorized:
		e.Type, code = "invalid_request_error", "invalid_api_key"
	case d.Status == http.StatusRequestEntityTooLarge:
		e.Type, code = "invalid_request_error", "request_too_large"
	case d.Status == http.StatusTooManyRequests:
		e.Type, code = rateType(d), "rate_limit_exceeded"
	case d.Status == http.StatusServiceUnavailable:
		e.Type, code = "server_error", "service_unavailable"
	case d.Status >= http.StatusInternalServerError:
		e.Type = "server_error"
	default:
		e.Type = "invalid_request_error"
	}
	if code != "" {
		e.Code = &code
	}
	return body
}

// rateType returns the type that OpenAI gives to what d says.
func rateType(d Refusal) string {
	switch {
	case d.Hard:
		return "insufficient_quota"
	case d.Tokens:
		return "tokens"
	}
	return "requests"
}

// anthropicError is the body of an answer that Anthropic's SDKs make an error of.
type anthropicError struct {
	Type  string `json:"type"`
	Error struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	} `json:"error"`
	RequestID string `json:"request_id,omitempty"`
}

// anthropicBody returns the body that says d.
func anthropicBody(d Refusal) anthropicError {
	body := anthropicError{Type: "error", RequestID: d.RequestID}
	body.Error.Message = d.Message
	body.Error.Type = anthropicType(d.Status)
	return body
}

// anthropicType returns the type of errors with a status.
func anthropicType(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusRequestEntityTooLarge:
		return "request_too_large"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	case http.StatusGatewayTimeout:
		return "timeout_error"
	}
	if status >= http.StatusInternalServerError {
		return "api_error"
	}
	return "invalid_request_error"
}
