package llm

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Streams of all dialects are charged as their upstream says, or by what passed, and lose the event that was not asked for
// and nothing else.
func TestMeterStreams(t *testing.T) {
	for _, s := range streams() {
		for _, end := range []string{"\n", "\r\n", "\r"} {
			text := strings.ReplaceAll(s.text, "\n", end)
			want := strings.Replace(text, strings.ReplaceAll(s.removed, "\n", end), "", 1)
			out, u, err := metered(t, s.style(), s.call(), eventStream(), &pieces{text: []byte(text), sizes: []byte{40}})
			if err != nil || u != s.want {
				t.Errorf("%s with lines that end in %q: error %v, usage %+v, want %+v", s.name, end, err, u, s.want)
			}
			if diff := cmp.Diff(want, string(out)); diff != "" {
				t.Errorf("%s with lines that end in %q differs (-want +got):\n%s", s.name, end, diff)
			}
		}
	}
}

// Answers without a stream are charged as their upstream says, or by the text in them, or as estimated.
func TestMeterWhole(t *testing.T) {
	const estimate = 100
	cases := []struct {
		name     string
		endpoint Endpoint
		body     string
		end      error
		want     Usage
	}{
		{
			"chat", ChatCompletions,
			`{"id":"c1","choices":[{"message":{"role":"assistant","content":"hi"}}],"usage":{"prompt_tokens":5,"completion_tokens":9,"prompt_tokens_details":{"cached_tokens":2}}}`,
			nil,
			Usage{Input: 5, Cached: 2, Output: 9, Exact: true},
		},
		{
			"chat with usage first", ChatCompletions, `{"usage":{"prompt_tokens":5,"completion_tokens":9},"choices":[{"message":{"content":"hi"}}]}`,
			nil,
			Usage{Input: 5, Output: 9, Exact: true},
		},
		{"chat without usage", ChatCompletions, `{"choices":[{"message":{"content":"abcdefgh"}}]}`, nil, Usage{Input: 7, Output: 2}},
		{"chat that breaks off", ChatCompletions, `{"choices":[{"message":{"content":"abcdefgh`, errors.New("broken"), Usage{Input: 7, Output: estimate}},
		{"chat cut short", ChatCompletions, `{"choices":[{"message":{"content":"abcdefgh`, nil, Usage{Input: 7, Output: estimate}},
		{"embeddings", Embeddings, `{"data":[{"embedding":[0.1,-2e-3]}],"usage":{"prompt_tokens":8,"total_tokens":8}}`, nil, Usage{Input: 8, Exact: true}},
		{
			"responses", Responses,
			`{"instructions":"do","output":[{"type":"function_call","arguments":"{}"}],"usage":{"input_tokens":36,"output_tokens":87}}`,
			nil,
			Usage{Input: 36, Output: 87, Exact: true},
		},
		{
			"messages", Messages,
			`{"content":[{"type":"tool_use","input":{"a":{"b":"abcd"}}}],"usage":{"input_tokens":10,"cache_creation_input_tokens":20,"cache_read_input_tokens":30,"output_tokens":40}}`,
			nil,
			Usage{Input: 60, Cached: 30, Output: 40, Exact: true},
		},
		{"messages without usage", Messages, `{"content":[{"type":"tool_use","input":{"a":{"b":"abcd"}}}]}`, nil, Usage{Input: 7, Output: 1}},
		{"usage of nonsense", ChatCompletions, `{"choices":[],"usage":{"prompt_tokens":-4,"completion_tokens":1e99}}`, nil, Usage{Exact: true}},
		{"usage without end", ChatCompletions, `{"choices":[],"usage":{"prompt_tokens":99999999999999999999999}}`, nil, Usage{Input: 1<<59 - 1, Exact: true}},
		{"no JSON", ChatCompletions, `<html>`, nil, Usage{Input: 7, Output: 2}},
		{"deep", ChatCompletions, strings.Repeat("[", 600) + strings.Repeat("]", 600), nil, Usage{Input: 7, Output: estimate}},
	}
	for _, c := range cases {
		call := Call{Endpoint: c.endpoint, Prompt: 7, MaxOutput: estimate, Stated: true, BytesPerToken: 4}
		style := recorded{endpoint: c.endpoint}.style()
		header := http.Header{"Content-Type": {"application/json"}}
		out, u, err := metered(t, style, call, header, &pieces{text: []byte(c.body), sizes: []byte{3, 10}, end: c.end})
		if string(out) != c.body || !errors.Is(err, c.end) || u != c.want {
			t.Errorf("%s: error %v, body %q\ngot  %+v\nwant %+v", c.name, err, out, u, c.want)
		}
	}
}

// An answer that cannot be read is charged as estimated, and passes as it is.
func TestMeterSealed(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := io.WriteString(w, chatBegin+chatUsage); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	h := eventStream()
	h.Set("Content-Encoding", "gzip")
	call := Call{Endpoint: ChatCompletions, Stream: true, Prompt: 7, MaxOutput: 50, BytesPerToken: 4}
	out, u, err := metered(t, OpenAI, call, h, &pieces{text: bytes.Clone(packed.Bytes()), sizes: []byte{9}})
	if want := (Usage{Input: 7, Output: 50}); err != nil || u != want || !bytes.Equal(out, packed.Bytes()) {
		t.Errorf("a packed stream: error %v, %d bytes of %d, usage %+v, want %+v", err, len(out), packed.Len(), u, want)
	}
	call = Call{Endpoint: Responses, Background: true, Prompt: 7, MaxOutput: 50, BytesPerToken: 4}
	_, u, _ = metered(t, OpenAI, call, http.Header{"Content-Type": {"application/json"}}, &pieces{text: []byte(`{"status":"queued","usage":null}`)})
	if want := (Usage{Input: 7, Output: 50}); u != want {
		t.Errorf("an answer before its work: usage %+v, want %+v", u, want)
	}
}

// A client that leaves pays for what it got, once, though it closes twice.
func TestMeterClientLeaves(t *testing.T) {
	var told []Usage
	call := Call{Endpoint: ChatCompletions, Stream: true, Prompt: 7, MaxOutput: 100, BytesPerToken: 4}
	m := NewMeter(OpenAI, call, eventStream(), &pieces{text: []byte(chatBegin), sizes: []byte{0}}, func(u Usage) { told = append(told, u) })
	if _, err := io.ReadFull(m, make([]byte, len(chatBegin)-200)); err != nil {
		t.Fatal(err)
	}
	_, _ = m.Close(), m.Close()
	if diff := cmp.Diff([]Usage{{Input: 7, Output: 3}}, told); diff != "" {
		t.Errorf("done differs (-want +got):\n%s", diff)
	}
}

// An event goes on before the next one comes, and one with text before its own end.
func TestMeterPassesAtOnce(t *testing.T) {
	from, to := io.Pipe()
	call := Call{Endpoint: ChatCompletions, Stream: true, BytesPerToken: 4}
	m := NewMeter(OpenAI, call, eventStream(), from, func(Usage) {})
	defer m.Close()
	for _, piece := range []string{
		": ping\n", "\n", `data: {"id":"c1","choices":[{"de`, `lta":{}}]}` + "\n", "\n", `data: {"choices":[],"created":1}` + "\n\n",
		": ping\r", "event: x\r\r", "data: [DONE]\n\n",
	} {
		go func() { _, _ = to.Write([]byte(piece)) }()
		got := make([]byte, len(piece))
		if _, err := io.ReadFull(m, got); err != nil || string(got) != piece {
			t.Fatalf("after %q was sent, %q came and error %v", piece, got, err)
		}
	}
}

// forever is a body that repeats a text until it has given most bytes.
type forever struct {
	text string
	at   int
	most int
}

// Read implements io.Reader.
func (f *forever) Read(p []byte) (int, error) {
	if f.most <= 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), f.most)], f.text[f.at:])
	f.at = (f.at + n) % len(f.text)
	f.most -= n
	return n, nil
}

// Close implements io.Closer.
func (f *forever) Close() error { return nil }

// Whatever an upstream sends, a meter keeps little of it: text without an end, data without one, events of megabytes.
func TestMeterIsBounded(t *testing.T) {
	const most = 512 << 10
	for name, begin := range map[string]string{
		"no line ends": "a", "no event ends": "data: {\n", "comments": ": ping\n", "data without end": "data: [[", "empty data": "data:\n",
		"one string": `data: {"choices":"`, "one key": `data: {"`, "empty lines": "\n", "carriage returns": "\r", "marks": byteOrderMark,
	} {
		body := io.MultiReader(strings.NewReader(begin), &forever{text: begin, most: most})
		call := Call{Endpoint: ChatCompletions, Stream: true, BytesPerToken: 4}
		m, ok := NewMeter(OpenAI, call, eventStream(), io.NopCloser(body), func(Usage) {}).(*meter)
		if !ok {
			t.Fatal("NewMeter returned no *meter")
		}
		n, kept := 0, 0
		for buffer := make([]byte, 32<<10); ; {
			got, err := m.Read(buffer)
			n += got
			kept = max(kept, cap(m.out)+cap(m.events.held))
			if err != nil {
				break
			}
		}
		if n != most+len(begin) || kept > 6*mostHeld {
			t.Errorf("%s: %d bytes passed of %d, and %d were kept at once", name, n, most+len(begin), kept)
		}
	}
}

// A body that returns nothing, and no error either, is given up.
func TestMeterOfNothing(t *testing.T) {
	call := Call{Endpoint: ChatCompletions, Stream: true, BytesPerToken: 4}
	_, _, err := metered(t, OpenAI, call, eventStream(), idle{})
	if !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("error %v, want %v", err, io.ErrNoProgress)
	}
}

// idle is a body that returns nothing.
type idle struct{}

// Read implements io.Reader.
func (idle) Read([]byte) (int, error) { return 0, nil }

// Close implements io.Closer.
func (idle) Close() error { return nil }

// Streams made of all kinds of events are metered as by a slow plain model, however they are split.
func TestMeterAgreesWithModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.SampledFrom(streamLines()), 0, 30).Draw(t, "lines")
		ends := rapid.SliceOfN(rapid.SampledFrom([]string{"\n", "\n\n", "\r\n", "\r", "\r\n\r\n", "\r\r", "\n\n\n"}), len(lines), len(lines)).Draw(t, "ends")
		var text []byte
		for i, line := range lines {
			text = append(append(text, line...), ends[i]...)
		}
		call := Call{
			Endpoint: rapid.SampledFrom([]Endpoint{ChatCompletions, Responses, Messages}).Draw(t, "endpoint"), Stream: true,
			IncludeUsage: rapid.Bool().Draw(t, "asked"), Prompt: 7, MaxOutput: rapid.Int64Range(0, 20).Draw(t, "most"),
			Stated: rapid.Bool().Draw(t, "stated"), BytesPerToken: 4,
		}
		style := recorded{endpoint: call.Endpoint}.style()
		want, wantUsage, known := meterOf(style, call, text)
		if !known {
			t.Skip("an event is not JSON")
		}
		var u Usage
		body := &pieces{text: bytes.Clone(text), sizes: rapid.SliceOf(rapid.Byte()).Draw(t, "sizes")}
		m := NewMeter(style, call, eventStream(), body, func(told Usage) { u = told })
		out, err := io.ReadAll(m)
		if err != nil || !bytes.Equal(out, want) || u != wantUsage {
			t.Fatalf("of %q\nerror %v\ngot  %q, %+v\nwant %q, %+v", text, err, out, u, want, wantUsage)
		}
	})
}

// streamLines returns lines that streams are made of, in any order.
func streamLines() []string {
	lines := []string{": ping", ":", "event: message", "id", "data", "data:", `data: {"choices":`, `data: []}`, `data: [{"text":"abc"}]}`, `data:{"delta":"\u00e9\n"}`}
	for _, s := range streams() {
		for line := range strings.SplitSeq(s.text, "\n") {
			if line != "" {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// An event of 10 MB passes as it comes, and what stands in it counts.
func TestMeterOfLargeEvent(t *testing.T) {
	text := `data: {"choices":[{"delta":{"content":"` + strings.Repeat("abcd", 10<<18) + `"}}]}` + "\n\n"
	call := Call{Endpoint: ChatCompletions, Stream: true, BytesPerToken: 4}
	out, u, err := metered(t, OpenAI, call, eventStream(), &pieces{text: []byte(text + chatUsage)})
	if want := (Usage{Input: 19, Cached: 16, Output: 10, Exact: true}); err != nil || string(out) != text || u != want {
		t.Errorf("error %v, %d bytes passed of %d, usage %+v", err, len(out), len(text), u)
	}
}
