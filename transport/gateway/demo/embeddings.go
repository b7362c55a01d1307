package demo

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
)

// mostInputs is for how many inputs there are embeddings at most, as at OpenAI.
const mostInputs = 2048

// embeddings answers a call of embeddings: one for each input, all the same.
func embeddings(s *sender) {
	p := s.plan
	var asked struct {
		Input  json.RawMessage `json:"input"`
		Format string          `json:"encoding_format"`
	}
	var inputs []json.RawMessage
	n := 1
	if json.Unmarshal(p.asked, &asked) == nil && json.Unmarshal(asked.Input, &inputs) == nil {
		n = min(max(len(inputs), 1), mostInputs)
	}
	data := make([]any, n)
	for i := range data {
		data[i] = object{"object": "embedding", "index": i, "embedding": embedding(asked.Format)}
	}
	answer := object{"object": "list", "model": p.call.Model, "data": data}
	if !p.silent {
		answer["usage"] = object{"prompt_tokens": p.in, "total_tokens": p.in}
	}
	s.whole(answer)
}

// embedding returns an embedding as numbers, or in base64 if format says so, as SDKs do.
func embedding(format string) any {
	numbers := []float32{0.25, -0.5, 0.75}
	if format != "base64" {
		return numbers
	}
	var packed []byte
	for _, n := range numbers {
		packed = binary.LittleEndian.AppendUint32(packed, math.Float32bits(n))
	}
	return base64.StdEncoding.EncodeToString(packed)
}
