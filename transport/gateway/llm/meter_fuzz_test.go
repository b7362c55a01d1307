package llm

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// eventStream is the header of a stream.
func eventStream() http.Header {
	return http.Header{"Content-Type": {"text/event-stream; charset=utf-8"}}
}

// metered passes body through a meter and returns what came out and what done was told, and fails if that was not once.
func metered(t testing.TB, s Style, c Call, h http.Header, body io.ReadCloser) ([]byte, Usage, error) {
	t.Helper()
	var told []Usage
	m := NewMeter(s, c, h, body, func(u Usage) { told = append(told, u) })
	out, err := io.ReadAll(m)
	if err := m.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	_ = m.Close()
	if len(told) != 1 {
		t.Fatalf("done was called %d times, want once", len(told))
	}
	return out, told[0], err
}

// Whatever the split of the bytes, the same comes out and the same is charged, and where the events are JSON, as by a slow
// plain model. Nothing is ever added to a stream, and the usage of a stream that breaks is within its bounds.
func FuzzSSE(f *testing.F) {
	for _, s := range streams() {
		f.Add([]byte(s.text), []byte{0, 3, 200}, uint8(s.endpoint), s.include, int64(100))
		f.Add(bytes.ReplaceAll([]byte(s.text), []byte("\n"), []byte("\r\n")), []byte{7}, uint8(s.endpoint), s.include, int64(3))
		f.Add([]byte("\xef\xbb\xbf: ping\r\r"+s.text), []byte{1}, uint8(s.endpoint), s.include, int64(0))
	}
	f.Add([]byte("data: {\"choices\":\ndata: [],\"usage\":{\"prompt_tokens\":-1.5}}\r\r\n:x\rdata:{}"), []byte{}, uint8(1), false, int64(9))
	f.Add([]byte(`data:{"choices":[{"delta":{"content":"\u00e9\ud83d\ude00\n"}}],"us\u0061ge":{"input_tokens":1e3}}`+"\n\n"), []byte{4}, uint8(1), false, int64(9))
	f.Fuzz(func(t *testing.T, text, sizes []byte, endpoint uint8, include bool, most int64) {
		e := Endpoint(endpoint % 6)
		style := OpenAI
		if e == Messages {
			style = Anthropic
		}
		c := Call{Endpoint: e, Stream: true, IncludeUsage: include, Prompt: 11, MaxOutput: max(most, 0), Stated: most >= 0, BytesPerToken: 4}
		out, u, err := metered(t, style, c, eventStream(), &pieces{text: bytes.Clone(text)})
		if err != nil {
			t.Fatal(err)
		}
		split, splitUsage, _ := metered(t, style, c, eventStream(), &pieces{text: bytes.Clone(text), sizes: sizes})
		if !bytes.Equal(out, split) || u != splitUsage {
			t.Errorf("at once: %q, %+v\nin pieces of %v: %q, %+v", out, u, sizes, split, splitUsage)
		}
		if want, wantUsage, known := meterOf(style, c, text); known && (!bytes.Equal(out, want) || u != wantUsage) {
			t.Errorf("of %q\ngot  %q, %+v\nwant %q, %+v", text, out, u, want, wantUsage)
		}
		broken := errors.New("broken")
		_, u, err = metered(t, style, c, eventStream(), &pieces{text: bytes.Clone(text), sizes: sizes, end: broken})
		if !errors.Is(err, broken) || u.Input < 0 || u.Output < 0 || u.Cached < 0 || u.Cached > u.Input {
			t.Errorf("a stream that breaks: error %v, usage %+v", err, u)
		}
	})
}

// What goes through a meter without events that it has to remove is what came, byte for byte.
func TestMeterPassesAll(t *testing.T) {
	for _, s := range streams() {
		c := Call{Endpoint: s.endpoint, Stream: true, IncludeUsage: true, BytesPerToken: 4}
		out, _, err := metered(t, s.style(), c, eventStream(), &pieces{text: []byte(s.text), sizes: []byte{0}})
		if diff := cmp.Diff(s.text, string(out)); diff != "" || err != nil {
			t.Errorf("%s: error %v, differs (-want +got):\n%s", s.name, err, diff)
		}
	}
}
