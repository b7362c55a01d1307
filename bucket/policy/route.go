package policy

import (
	"net/url"
	"time"
)

// A Kind is what a route's requests are.
type Kind uint8

// The kinds.
const (
	HTTP      Kind = iota // anything
	OpenAI                // as OpenAI's API has them: chat completions, responses, embeddings
	Anthropic             // as Anthropic's API has them: messages
)

// String returns the word that policy files use for k.
func (k Kind) String() string {
	switch k {
	case HTTP:
		return "http"
	case OpenAI:
		return "openai"
	case Anthropic:
		return "anthropic"
	}
	return "unknown"
}

// A Route is one kind of requests: which they are, which limits they meet and where they go.
type Route struct {
	Name string
	Kind Kind

	Hosts   []string // in small letters; "*.example.com" are all hosts below example.com; none for all
	Path    string   // the path itself and all below it; "/" for all
	Methods []string // in capitals; none for all

	// Headers are set in requests to upstreams, in place of what the client sent: canonical names and values. It is how an
	// upstream gets a key of its own, which clients never see.
	Headers map[string]string

	Upstreams []*url.URL // http or https; none where the policy is not for a proxy
	Health    HealthCheck

	// Retries is how often a request is sent again, to another upstream where there is one, after a failure that left
	// nothing behind. Default: 1. 0 is never.
	Retries int

	// Limits are those that its requests meet, in the order of the file.
	Limits []*Limit

	Timeout     time.Duration // until the answer begins; default 1m, and 10m where Kind is not HTTP
	ReadTimeout time.Duration // until the request's body is there; default 1m
	IdleTimeout time.Duration // between two pieces of the answer's body; default 5m

	MaxHeader int64 // bytes of a request's header; default 32KiB
	MaxBody   int64 // bytes of a request's body; default 10MiB

	Queue Queue
	LLM   LLM // of kinds other than HTTP
}

// A HealthCheck says how upstreams are asked whether they are well.
type HealthCheck struct {
	Path     string        // asked with GET, well if the status is 200 to 299; "" for no such requests
	Interval time.Duration // default 5s
	Timeout  time.Duration // default 2s
}

// A Queue bounds requests that wait for their turn because one of their limits has a queue.
type Queue struct {
	Wait     time.Duration // the longest that one waits; default 30s
	Requests int           // most that wait at once, at one node; default 1000
}

// LLM says how the tokens of a route are counted.
type LLM struct {
	// DefaultMaxTokens is the answer's length that is reserved for requests that name none. Default: 1024.
	DefaultMaxTokens int64

	// CharsPerToken is how many characters of a prompt count as one token before the upstream has counted. Default: 4.
	CharsPerToken int64

	// Tokenizer is how prompts are counted before: "chars" (the default), "o200k" or "cl100k".
	Tokenizer string

	// Weights are those of models by name, and those of "default" for all others. A longest name that ends in * and that
	// the model's name begins with counts where the name itself is not there. Weigh looks it up.
	Weights map[string]Weights
}

// Weights say what tokens cost, in thousandths: 1000 is a token of the limit for each.
type Weights struct {
	Input, Output int64 // default 1000
	Cached        int64 // of input tokens that the upstream had in its cache; default that of Input
}

// PlainWeight is the weight of a token that costs one.
const PlainWeight = 1000
