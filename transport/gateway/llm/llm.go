// Package llm reads what a call to a language model asks for, and what its answer came to, while the answer passes.
//
// It knows the dialects of OpenAI and Anthropic, which most model servers speak: requests and answers in JSON, streams
// as server-sent events, and errors and headers in the shapes that their SDKs read. It neither dials nor listens.
package llm

import (
	"fmt"
	"path"
	"strings"
)

// A Style is a dialect of model APIs. The zero value is OpenAI.
type Style uint8

// The styles.
const (
	OpenAI    Style = iota // chat completions, completions, responses, embeddings
	Anthropic              // messages
)

// String returns the name of s as a policy writes it.
func (s Style) String() string {
	switch s {
	case OpenAI:
		return "openai"
	case Anthropic:
		return "anthropic"
	}
	return fmt.Sprintf("style(%d)", uint8(s))
}

// An Endpoint is what a path of a model API does. The zero value is Other.
type Endpoint uint8

// The endpoints.
const (
	Other           Endpoint = iota // costs no tokens that this package could count: lists of models, files and the like
	ChatCompletions                 // OpenAI: /v1/chat/completions
	Completions                     // OpenAI: /v1/completions
	Responses                       // OpenAI: /v1/responses
	Embeddings                      // OpenAI: /v1/embeddings
	Messages                        // Anthropic: /v1/messages
)

// EndpointOf returns what path does in style s. Only the end of path counts, so that APIs under a prefix are known too.
//
// Servers of one style often speak the other one beside it, at that one's paths. These are known too: else its tokens
// would go uncounted.
func EndpointOf(s Style, p string) Endpoint {
	p = path.Clean(p)
	switch {
	case strings.HasSuffix(p, "/chat/completions"):
		return ChatCompletions
	case strings.HasSuffix(p, "/completions"):
		return Completions
	case strings.HasSuffix(p, "/responses"):
		return Responses
	case strings.HasSuffix(p, "/embeddings"):
		return Embeddings
	case strings.HasSuffix(p, "/v1/messages"), s == Anthropic && strings.HasSuffix(p, "/messages"):
		return Messages // OpenAI's /v1/threads/ID/messages are something else
	}
	return Other
}

// hasStreamOptions tells whether streams of e tell usage only if stream_options ask for it.
func (e Endpoint) hasStreamOptions() bool { return e == ChatCompletions || e == Completions }

// A Call is what a request to a model asks for.
type Call struct {
	Endpoint Endpoint
	Model    string

	// Stream is whether the answer is to come as server-sent events.
	Stream bool

	// IncludeUsage is whether the client itself asked for usage at the end of its stream. OpenAI only; where it is false
	// and Stream is true, NewMeter removes the event that ReadCall asked for.
	IncludeUsage bool

	// Prompt is the estimate of the tokens that go in, MaxOutput the most that may come out, over all choices and prompts.
	Prompt, MaxOutput int64

	// Stated is whether the client said the most that may come out. Else MaxOutput is Options.MaxOutput, which no upstream
	// knows of.
	Stated bool

	// Background is whether the answer comes before the work is done, so that it cannot tell what that comes to.
	Background bool

	// BytesPerToken is what the request's options said of it.
	BytesPerToken int64
}

// Usage is what a call came to, in tokens.
type Usage struct {
	// Input counts all tokens that went in, Cached those of them that were read from a cache, at most Input.
	Input, Cached int64

	// Output counts all tokens that came out, also those of thoughts that the client does not get to see.
	Output int64

	// Exact is whether the upstream said so. Else it is an estimate of what went in and a count of what came out.
	Exact bool
}
