package llm

// A Tokenizer counts the tokens of a text. The zero value is Chars.
type Tokenizer uint8

// The tokenizers.
const (
	Chars  Tokenizer = iota // Options.BytesPerToken, rounded up: quick and good enough for most
	O200k                   // OpenAI's o200k_base, of GPT-4o and later: exact for those, and slower
	CL100k                  // OpenAI's cl100k_base, of GPT-4 and its embeddings
)
