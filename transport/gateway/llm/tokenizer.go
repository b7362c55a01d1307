package llm

import (
	"fmt"
	"sync"
	"unicode/utf8"

	"github.com/tiktoken-go/tokenizer/codec"
)

// A Tokenizer counts the tokens of a text. The zero value is Chars.
type Tokenizer uint8

// The tokenizers. Those of OpenAI are loaded by the first request that needs them, within some tens of milliseconds.
const (
	Chars  Tokenizer = iota // Options.BytesPerToken, rounded up: quick and good enough for most
	O200k                   // OpenAI's o200k_base, of GPT-4o and later: exact for those, and slower
	CL100k                  // OpenAI's cl100k_base, of GPT-4 and its embeddings
)

// String returns the name of t as a policy writes it.
func (t Tokenizer) String() string {
	switch t {
	case Chars:
		return "chars"
	case O200k:
		return "o200k"
	case CL100k:
		return "cl100k"
	}
	return fmt.Sprintf("tokenizer(%d)", uint8(t))
}

// ParseTokenizer returns the tokenizer of a name that String returns; empty is Chars.
func ParseTokenizer(name string) (Tokenizer, error) {
	switch name {
	case "", "chars":
		return Chars, nil
	case "o200k":
		return O200k, nil
	case "cl100k":
		return CL100k, nil
	}
	return 0, fmt.Errorf("tokenizer %q, want chars, o200k or cl100k", name)
}

// Bounds on what a tokenizer does for one request. Its time grows with the square of the longest word, which a request
// chooses, and a prompt of a megabyte would keep a processor for a fifth of a second.
const (
	mostTokenized = 256 << 10 // bytes of text; what is beyond counts by Options.BytesPerToken
	pieceLen      = 2 << 10   // bytes that are tokenized at once; a cut through a word adds a token or two
)

// The tables of the tokenizers, which are only read once they are there.
//
//nolint:gochecknoglobals // megabytes that all requests share, and that nobody pays who does not ask for them
var (
	o200k  = sync.OnceValue(codec.NewO200kBase)
	cl100k = sync.OnceValue(codec.NewCl100kBase)
)

// codecOf returns what tokenizes for t, nil for Chars.
func codecOf(t Tokenizer) *codec.Codec {
	switch t {
	case Chars:
	case O200k:
		return o200k()
	case CL100k:
		return cl100k()
	}
	return nil
}

// countTokens returns how many tokens text is to c, and false if c does not know.
func countTokens(c *codec.Codec, text string) (int64, bool) {
	var tokens int64
	for text != "" {
		piece := text[:cut(text, pieceLen)]
		n, err := c.Count(piece)
		if err != nil {
			return 0, false
		}
		tokens += int64(n)
		text = text[len(piece):]
	}
	return tokens, true
}

// cut returns where to cut text so that the begin is of at most most bytes and whole characters.
func cut(text string, most int) int {
	if len(text) <= most {
		return len(text)
	}
	for n := most; n > most-utf8.UTFMax; n-- {
		if utf8.RuneStart(text[n]) {
			return n
		}
	}
	return most // no UTF-8
}
