package llm

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
)

// BenchmarkReadCall reads requests with a prompt of 1 KB and of 100 KB.
func BenchmarkReadCall(b *testing.B) {
	for _, size := range []int{1 << 10, 100 << 10} {
		for _, tokenizer := range []Tokenizer{Chars, O200k} {
			b.Run(fmt.Sprintf("prompt=%dKiB/tokenizer=%v", size>>10, tokenizer), func(b *testing.B) {
				body, err := json.Marshal(map[string]any{
					"model": "gpt-4o", "stream": true, "max_tokens": 100,
					"messages": []any{map[string]any{"role": "user", "content": strings.Repeat("Tell me more.\n", size/14)}},
				})
				if err != nil {
					b.Fatal(err)
				}
				o := Options{Tokenizer: tokenizer}
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				for b.Loop() {
					if _, _, err := ReadCall(OpenAI, chatPath, body, o); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkMeter passes on streams of 200 events, with and without the last one to be removed.
func BenchmarkMeter(b *testing.B) {
	chunk := strings.SplitAfter(chatBegin, "\n\n")[1]
	text := strings.Repeat(chunk, 200) + chatUsage + chatEnd
	for _, include := range []bool{true, false} {
		b.Run(fmt.Sprintf("remove=%v", !include), func(b *testing.B) {
			c := Call{Endpoint: ChatCompletions, Stream: true, IncludeUsage: include, BytesPerToken: 4}
			h, buffer := eventStream(), make([]byte, 4<<10)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				m := NewMeter(OpenAI, c, h, io.NopCloser(strings.NewReader(text)), func(u Usage) {
					if !u.Exact {
						b.Error("usage was not read")
					}
				})
				for {
					if _, err := m.Read(buffer); err != nil {
						break
					}
				}
			}
		})
	}
}
