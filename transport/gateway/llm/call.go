package llm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// Options are what ReadCall goes by. The zero value is fine.
type Options struct {
	// MaxOutput is how many tokens an answer is taken to have if the request does not say. Default: 4096. Less admits more
	// at once and is passed more often by what the upstream answers.
	MaxOutput int64

	// BytesPerToken is how many bytes of text in UTF-8 make a token, for an estimate of prompts and of answers that end
	// without usage. Default: 4, which fits English text; other scripts take more bytes for a letter, and more tokens.
	BytesPerToken int64

	// MediaTokens is what an image, a sound or a file in a prompt counts. Default: 1000.
	MediaTokens int64

	// Tokenizer counts the tokens of prompts. Default: Chars.
	Tokenizer Tokenizer
}

// withDefaults returns o with its zero fields filled in.
func (o Options) withDefaults() Options {
	if o.MaxOutput <= 0 {
		o.MaxOutput = 4096
	}
	if o.BytesPerToken <= 0 {
		o.BytesPerToken = 4
	}
	if o.MediaTokens <= 0 {
		o.MediaTokens = 1000
	}
	return o
}

// ErrTooLarge is what ReadBody returns for a body that is larger than it may be.
var ErrTooLarge = errors.New("the body is too large")

// A RequestError says what is wrong with a request, in words for its client.
type RequestError struct {
	Reason string
	Param  string // the field that is wrong, empty for none
}

// Error implements error.
func (e *RequestError) Error() string { return e.Reason }

// ReadBody reads all of body. Its error is ErrTooLarge if that is more than most bytes, else of body.
func ReadBody(body io.Reader, most int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(body, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > most {
		return nil, ErrTooLarge
	}
	return text, nil
}

// ReadCall reads the body of a request to path and returns what it asks for, and the body to send on. That is body
// itself, but for an OpenAI stream whose client has not asked for usage: there stream_options.include_usage is put in, and
// each other byte stays as it is. For a path of Endpoint Other it returns a zero Call and body, unread. body is not
// modified. Errors are *RequestError.
//
// The prompt is estimated from all text that goes into the model, be it of messages, parts or tools: by the tokenizer, or
// Options.BytesPerToken of UTF-8 for each token, rounded up over all of it; 4 tokens more for each message, and
// Options.MediaTokens for each image, sound or file.
func ReadCall(s Style, path string, body []byte, o Options) (Call, []byte, error) {
	o = o.withDefaults()
	endpoint := EndpointOf(s, path)
	if endpoint == Other {
		return Call{BytesPerToken: o.BytesPerToken}, body, nil
	}
	if err := checkJSON(body); err != nil {
		return Call{}, nil, err
	}
	r := newReader(endpoint, body, o)
	if r.next() != '{' {
		return Call{}, nil, &RequestError{Reason: "the body is not a JSON object"}
	}
	r.object(r.field)
	r.finish(path, o)
	if r.err != nil {
		return Call{}, nil, r.err
	}
	return r.call, r.body(), nil
}

// checkJSON returns an error that says where body stops being JSON.
func checkJSON(body []byte) error {
	if json.Valid(body) {
		return nil
	}
	var (
		text   json.RawMessage
		broken *json.SyntaxError
	)
	if err := json.Unmarshal(body, &text); errors.As(err, &broken) {
		return &RequestError{Reason: fmt.Sprintf("the body is not valid JSON: %s, at byte %d", broken.Error(), broken.Offset)}
	}
	return &RequestError{Reason: "the body is not valid JSON"}
}

// modelOf returns the model that a path names, as those of Azure do: /openai/deployments/MODEL/chat/completions.
func modelOf(path string) string {
	_, rest, ok := strings.Cut(path, "/deployments/")
	if !ok {
		return ""
	}
	model, _, _ := strings.Cut(rest, "/")
	return model
}

// times returns a*b, or the largest int64 if that is more. Both must not be negative.
func times(a, b int64) int64 {
	if a > 0 && b > math.MaxInt64/a {
		return math.MaxInt64
	}
	return a * b
}
