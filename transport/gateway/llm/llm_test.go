package llm

import "testing"

// Endpoints are known by the end of their path, however it is written, and in both styles where a server speaks both.
func TestEndpointOf(t *testing.T) {
	cases := []struct {
		path              string
		openAI, anthropic Endpoint
	}{
		{"/v1/chat/completions", ChatCompletions, ChatCompletions},
		{"/api/v1//chat/./completions/", ChatCompletions, ChatCompletions},
		{"/v1/models/../chat/completions", ChatCompletions, ChatCompletions},
		{"/v1/completions", Completions, Completions},
		{"/openai/deployments/gpt/embeddings", Embeddings, Embeddings},
		{"/v1/responses", Responses, Responses},
		{"/v1/responses/resp_1", Other, Other},
		{"/v1/messages", Messages, Messages},
		{"/anthropic/messages", Other, Messages},
		{"/v1/threads/t/messages", Other, Messages},
		{"/v1/messages/count_tokens", Other, Other},
		{"/v1/models", Other, Other},
		{"/", Other, Other},
		{"", Other, Other},
	}
	for _, c := range cases {
		if got := EndpointOf(OpenAI, c.path); got != c.openAI {
			t.Errorf("EndpointOf(OpenAI, %q) = %d, want %d", c.path, got, c.openAI)
		}
		if got := EndpointOf(Anthropic, c.path); got != c.anthropic {
			t.Errorf("EndpointOf(Anthropic, %q) = %d, want %d", c.path, got, c.anthropic)
		}
	}
}

// An upstream of one style that speaks the other one too is metered by what it speaks.
func TestMeterOfTheOtherStyle(t *testing.T) {
	for _, s := range streams() {
		other := Anthropic
		if s.style() == Anthropic {
			other = OpenAI
		}
		_, u, err := metered(t, other, s.call(), eventStream(), &pieces{text: []byte(s.text)})
		if err != nil || u != s.want {
			t.Errorf("%s: error %v, usage %+v, want %+v", s.name, err, u, s.want)
		}
	}
}
