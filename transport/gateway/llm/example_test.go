package llm_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/noriahq/noria/transport/gateway/llm"
)

// A request is estimated before it is forwarded, and made to tell what it comes to.
func ExampleReadCall() {
	body := []byte(`{"model":"gpt-4o","stream":true,"max_tokens":100,"messages":[{"role":"user","content":"Why is the sky blue?"}]}`)
	call, send, err := llm.ReadCall(llm.OpenAI, "/v1/chat/completions", body, llm.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	weights := llm.Weights{Output: 4 * llm.One} // a token of output counts as four of input
	fmt.Println(call.Model, call.Prompt, call.MaxOutput, weights.Estimate(call))
	fmt.Printf("%.60s\n", send)
	// Output:
	// gpt-4o 9 100 409
	// {"stream_options":{"include_usage":true},"model":"gpt-4o","s
}

// An answer passes, and is charged by what its upstream says in the end.
func ExampleNewMeter() {
	stream := `data: {"choices":[{"delta":{"content":"Rayleigh scattering."}}]}

data: {"choices":[],"usage":{"prompt_tokens":14,"completion_tokens":5}}

data: [DONE]

`
	call := llm.Call{Endpoint: llm.ChatCompletions, Stream: true, Prompt: 9, MaxOutput: 100, Stated: true}
	header := http.Header{"Content-Type": {"text/event-stream"}}
	body := llm.NewMeter(llm.OpenAI, call, header, io.NopCloser(strings.NewReader(stream)), func(u llm.Usage) {
		fmt.Println(u.Input, u.Output, u.Exact, llm.Weights{Output: 4 * llm.One}.Cost(u))
	})
	defer body.Close()
	passed, err := io.ReadAll(body)
	fmt.Println(strings.Count(string(passed), "data:"), err)
	// Output:
	// 14 5 true 34
	// 2 <nil>
}
