package llm

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const (
	chatPath       = "/v1/chat/completions"
	responsesPath  = "/v1/responses"
	embeddingsPath = "/v1/embeddings"
	messagesPath   = "/v1/messages"
)

// What a request asks for is read in the forms of all endpoints.
func TestReadCall(t *testing.T) {
	cases := []struct {
		name, path, body string
		want             Call
	}{
		{
			"chat", chatPath, `{"model":"gpt-4o","messages":[{"role":"user","content":"12345678"}],"max_tokens":50,"n":2}`,
			Call{Endpoint: ChatCompletions, Model: "gpt-4o", Prompt: 4 + 2, MaxOutput: 100, Stated: true},
		},
		{
			"chat with parts, names of older fields, and a picture", chatPath,
			`{"model":"m","messages":[{"role":"system","content":[{"type":"text","text":"1234"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA","detail":"low"}}]}],"max_tokens":5,"max_completion_tokens":7}`,
			Call{Endpoint: ChatCompletions, Model: "m", Prompt: 4 + 1 + 1000, MaxOutput: 7, Stated: true},
		},
		{
			"chat with tools", chatPath, `{"model":"m","messages":[],"tools":[{"type":"function"}],"response_format":null,"max_tokens":null}`,
			Call{Endpoint: ChatCompletions, Model: "m", Prompt: 6, MaxOutput: 4096},
		},
		{
			"chat that streams and asks for usage", chatPath, `{"model":"m","stream":true,"stream_options":{"include_usage":true}}`,
			Call{Endpoint: ChatCompletions, Model: "m", Stream: true, IncludeUsage: true, MaxOutput: 4096},
		},
		{
			"chat of Azure", "/openai/deployments/gpt/chat/completions", `{"messages":[{"content":"\u00e9\u4e2d\ud83d\ude00\n"}]}`,
			Call{Endpoint: ChatCompletions, Model: "gpt", Prompt: 4 + 3, MaxOutput: 4096},
		},
		{
			"completions of several prompts", "/v1/completions", `{"model":"m","prompt":["abcd","efgh"],"n":2,"best_of":3,"max_tokens":10}`,
			Call{Endpoint: Completions, Model: "m", Prompt: 2, MaxOutput: 60, Stated: true},
		},
		{
			"completions of tokens", "/v1/completions", `{"model":"m","prompt":[1,2,3],"max_tokens":10}`,
			Call{Endpoint: Completions, Model: "m", Prompt: 3, MaxOutput: 10, Stated: true},
		},
		{
			"completions of prompts of tokens", "/v1/completions", `{"model":"m","prompt":[[1,2],[3]],"max_tokens":10}`,
			Call{Endpoint: Completions, Model: "m", Prompt: 3, MaxOutput: 20, Stated: true},
		},
		{
			"responses", responsesPath, `{"model":"m","instructions":"1234","input":"5678","max_output_tokens":9,"background":true}`,
			Call{Endpoint: Responses, Model: "m", Prompt: 2, MaxOutput: 9, Stated: true, Background: true},
		},
		{
			"responses with items", responsesPath,
			`{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"1234"},{"type":"input_file","filename":"a","file_data":"AAAA"}]},{"type":"function_call_output","call_id":"x","output":"5678"}]}`,
			Call{Endpoint: Responses, Model: "m", Prompt: 8 + 2 + 1000, MaxOutput: 4096},
		},
		{
			"embeddings", embeddingsPath, `{"model":"m","input":["1234","56789"],"encoding_format":"float"}`,
			Call{Endpoint: Embeddings, Model: "m", Prompt: 3, Stated: true},
		},
		{
			"messages", messagesPath,
			`{"model":"claude","system":[{"type":"text","text":"1234","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":"1234"},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"find","input":{"a":1}}]},{"role":"user","content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"1234"}},{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"AAAA"}}]}],"max_tokens":1024,"stream":true}`,
			Call{Endpoint: Messages, Model: "claude", Stream: true, Prompt: 12 + 1000 + 6, MaxOutput: 1024, Stated: true},
		},
		{"another path", "/v1/models", `nothing that is read`, Call{}},
		{
			"a path in other words", "//v1/./chat//completions/", `{"model":"m"}`,
			Call{Endpoint: ChatCompletions, Model: "m", MaxOutput: 4096},
		},
		{
			"so much that it cannot be counted", chatPath, `{"model":"m","max_tokens":9223372036854775807,"n":2}`,
			Call{Endpoint: ChatCompletions, Model: "m", MaxOutput: math.MaxInt64, Stated: true},
		},
	}
	for _, c := range cases {
		style := OpenAI
		if c.path == messagesPath {
			style = Anthropic
		}
		c.want.BytesPerToken = 4
		got, body, err := ReadCall(style, c.path, []byte(c.body), Options{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s differs (-want +got):\n%s", c.name, diff)
		}
		if string(body) != c.body {
			t.Errorf("%s: body %q, want it as it was, %q", c.name, body, c.body)
		}
	}
}

// A stream is asked for usage where its client does not, and nothing else of its body changes.
func TestReadCallAsksForUsage(t *testing.T) {
	const asking = `"stream_options":{"include_usage":true},`
	cases := []struct{ body, want string }{
		{` { "model":"m", "stream":true } `, ` {` + asking + ` "model":"m", "stream":true } `},
		{`{"model":"m","stream":true,"stream_options":null}`, `{"model":"m","stream":true,"stream_options":{"include_usage":true}}`},
		{`{"stream_options": {} ,"model":"m","stream":true}`, `{"stream_options": {"include_usage":true} ,"model":"m","stream":true}`},
		{
			`{"stream_options":{ "include_obfuscation" : false},"model":"m","stream":true}`,
			`{"stream_options":{"include_usage":true, "include_obfuscation" : false},"model":"m","stream":true}`,
		},
		{`{"stream_options":{"include_usage": false },"model":"m","stream":true}`, `{"stream_options":{"include_usage": true },"model":"m","stream":true}`},
		{`{"stream_options":{"include_usage":null},"model":"m","stream":true}`, `{"stream_options":{"include_usage":true},"model":"m","stream":true}`},
		{`{"model":"m","stream":false,"stream_options":null}`, `{"model":"m","stream":false,"stream_options":null}`},
		{`{"model":"m","stream":null}`, `{"model":"m","stream":null}`},
	}
	for _, c := range cases {
		call, got, err := ReadCall(OpenAI, chatPath, []byte(c.body), Options{})
		if string(got) != c.want || err != nil || call.IncludeUsage {
			t.Errorf("ReadCall(%s) = %+v, %s, %v, want body %s", c.body, call, got, err, c.want)
		}
	}
	const body = `{"model":"m","stream":true}`
	if _, got, err := ReadCall(OpenAI, responsesPath, []byte(body), Options{}); string(got) != body || err != nil {
		t.Errorf("ReadCall of responses = %s, %v, want %s: they tell usage unasked", got, err, body)
	}
}

// What is wrong with a body is told to its client, with the field.
func TestReadCallRefuses(t *testing.T) {
	cases := []struct{ body, param, reason string }{
		{``, "", "the body is not valid JSON: unexpected end of JSON input, at byte 0"},
		{`{"model":"m",}`, "", "the body is not valid JSON: invalid character '}' looking for beginning of object key string, at byte 14"},
		{`{"model":"m"} x`, "", "the body is not valid JSON: invalid character 'x' after top-level value, at byte 15"},
		{"\xef\xbb\xbf{}", "", "the body is not valid JSON: invalid character 'ï' looking for beginning of value, at byte 1"},
		{`[]`, "", "the body is not a JSON object"},
		{`{}`, "model", "model is missing"},
		{`{"model":7}`, "model", "model is not a string"},
		{`{"model":"` + strings.Repeat("m", 257) + `"}`, "model", "model is longer than 256 bytes"},
		{`{"model":"m","stream":"true"}`, "stream", "stream is neither true nor false"},
		{`{"model":"m","stream":1}`, "stream", "stream is neither true nor false"},
		{`{"model":"m","max_tokens":-1}`, "max_tokens", "max_tokens is not a whole number from 0 on"},
		{`{"model":"m","max_tokens":1e3}`, "max_tokens", "max_tokens is not a whole number from 0 on"},
		{`{"model":"m","max_tokens":"1"}`, "max_tokens", "max_tokens is not a whole number from 0 on"},
		{`{"model":"m","n":0}`, "n", "n is not a whole number from 1 on"},
		{`{"model":"m","max_tokens":1,"max_tokens":1000000}`, "max_tokens", `"max_tokens" stands in the body twice, or in other letters than "max_tokens"`},
		{`{"model":"m","max_tokens":1,"max_tok\u0065ns":1000000}`, "max_tokens", `"max_tokens" stands in the body twice, or in other letters than "max_tokens"`},
		{`{"model":"m","MAX_TOKENS":1000000}`, "max_tokens", `"MAX_TOKENS" stands in the body twice, or in other letters than "max_tokens"`},
		{`{"model":"m","stream_options":true}`, "stream_options", "stream_options is not an object"},
		{`{"model":"m","stream_options":{"include_usage":1}}`, "stream_options.include_usage", "stream_options.include_usage is neither true nor false"},
		{`{"model":"m","stream_options":{"include_usage":true,"include_usage":false}}`, "stream_options.include_usage", "stream_options.include_usage stands in the body twice"},
		{strings.Repeat(`[`, 20000), "", "the body is not valid JSON: invalid character '[' exceeded max depth, at byte 10001"},
	}
	for _, c := range cases {
		_, body, err := ReadCall(OpenAI, chatPath, []byte(c.body), Options{})
		var told *RequestError
		if !errors.As(err, &told) || body != nil {
			t.Errorf("ReadCall(%.80s) = body %q, error %v, want no body and a *RequestError", c.body, body, err)
			continue
		}
		if diff := cmp.Diff(RequestError{Reason: c.reason, Param: c.param}, *told); diff != "" {
			t.Errorf("ReadCall(%.80s) differs (-want +got):\n%s", c.body, diff)
		}
	}
}

// A tokenizer counts as OpenAI's own does, in time that does not run away whatever the text.
func TestReadCallTokenizer(t *testing.T) {
	cases := []struct {
		tokenizer Tokenizer
		text      string
		want      int64
	}{
		{O200k, "hello world", 2},
		{CL100k, "hello world", 2},
		{O200k, "antidisestablishmentarianism", 6},
		{CL100k, "antidisestablishmentarianism", 6},
		{O200k, "", 0},
	}
	for _, c := range cases {
		body, err := json.Marshal(map[string]any{"model": "m", "input": c.text})
		if err != nil {
			t.Fatal(err)
		}
		call, _, err := ReadCall(OpenAI, embeddingsPath, body, Options{Tokenizer: c.tokenizer})
		if call.Prompt != c.want || err != nil {
			t.Errorf("%v counts %q as %d tokens, error %v, want %d", c.tokenizer, c.text, call.Prompt, err, c.want)
		}
	}
	long := `{"model":"m","input":["` + strings.Repeat("a", mostTokenized) + `","` + strings.Repeat("b", 4000) + `"]}`
	call, _, err := ReadCall(OpenAI, embeddingsPath, []byte(long), Options{Tokenizer: O200k})
	if err != nil || call.Prompt <= 1000 || call.Prompt > int64(len(long)) {
		t.Errorf("a long text: %d tokens, error %v", call.Prompt, err)
	}
	for _, tokenizer := range []Tokenizer{Chars, O200k, CL100k} {
		if got, err := ParseTokenizer(tokenizer.String()); got != tokenizer || err != nil {
			t.Errorf("ParseTokenizer(%q) = %v, %v", tokenizer.String(), got, err)
		}
	}
	if _, err := ParseTokenizer("p50k"); err == nil {
		t.Error("ParseTokenizer takes p50k")
	}
}

// Long prompts are cut for a tokenizer between characters, and nothing is lost.
func TestCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, most := rapid.String().Draw(t, "text"), rapid.IntRange(4, 20).Draw(t, "most")
		n := cut(text, most)
		if n > max(most, 0) || n == 0 && text != "" || n < len(text) && n < most-3 {
			t.Fatalf("cut(%q, %d) = %d", text, most, n)
		}
		if rest := text[n:]; rest != "" && rest[0]&0xC0 == 0x80 {
			t.Fatalf("cut(%q, %d) = %d is in a character", text, most, n)
		}
	})
}

// ReadBody reads what it may, and no more.
func TestReadBody(t *testing.T) {
	for _, c := range []struct {
		text string
		most int64
		want error
	}{{"", 0, nil}, {"abc", 3, nil}, {"abcd", 3, ErrTooLarge}} {
		body, err := ReadBody(strings.NewReader(c.text), c.most)
		if !errors.Is(err, c.want) || err == nil && string(body) != c.text {
			t.Errorf("ReadBody(%q, %d) = %q, %v, want error %v", c.text, c.most, body, err, c.want)
		}
	}
}

// Whatever is sent, ReadCall answers, and what it sends on says what came, but asks for usage.
func FuzzReadCall(f *testing.F) {
	for _, body := range []string{
		`{"model":"m","stream":true,"messages":[{"role":"user","content":"a\u00e9"}]}`, `{"model":"m","stream":true,"stream_options":{"a":[{}]}}`,
		`{"model":"m","prompt":[[1],[2]],"suffix":"x"}`, `{"model":"m","stream":true,"stream_options":{}}`, ` [`, `{"":"","model":"\\"}`,
		`{"model":"m","messages":[{"source":{"type":"text","data":"x"},"input":{"a":[]}}]}`,
	} {
		f.Add([]byte(body), uint8(0))
	}
	f.Fuzz(func(t *testing.T, body []byte, which uint8) {
		paths := []string{chatPath, "/v1/completions", responsesPath, embeddingsPath, messagesPath}
		path := paths[int(which)%len(paths)]
		style := OpenAI
		if path == messagesPath {
			style = Anthropic
		}
		before := string(body)
		call, sent, err := ReadCall(style, path, body, Options{})
		if string(body) != before {
			t.Fatal("the body was changed in place")
		}
		if err != nil {
			var told *RequestError
			if !errors.As(err, &told) || told.Reason == "" {
				t.Errorf("error %v has no reason", err)
			}
			return
		}
		if call.Prompt < 0 || call.MaxOutput < 0 || call.Model == "" {
			t.Errorf("ReadCall(%q) = %+v", body, call)
		}
		var came, went map[string]any
		if json.Unmarshal(body, &came) != nil || json.Unmarshal(sent, &went) != nil {
			t.Fatalf("%q was sent on as %q", body, sent)
		}
		asks := call.Stream && (call.Endpoint == ChatCompletions || call.Endpoint == Completions)
		if asks {
			options, _ := came["stream_options"].(map[string]any)
			if options == nil {
				options = map[string]any{}
				came["stream_options"] = options
			}
			options["include_usage"] = true
		}
		if diff := cmp.Diff(came, went); diff != "" {
			t.Errorf("%q was sent on as %q:\n%s", body, sent, diff)
		}
	})
}
