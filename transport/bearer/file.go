package bearer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Bounds of a file of tokens.
const (
	MaxFile   = 1 << 20 // bytes
	MaxTokens = 1000
	MaxName   = 64 // bytes of a token's name

	// MinToken is the least bytes of a token: shorter ones could be guessed.
	MinToken = 16

	// MaxToken is the most bytes of a token.
	MaxToken = 512
)

// digested is what a line has before a token's SHA-256 in place of the token.
const digested = "sha256:"

// A Token is one line of a file of tokens.
type Token struct {
	// Name says whose token it is, for logs. No two of a file have the same.
	Name string

	// Sum is the SHA-256 of the token.
	Sum [sha256.Size]byte

	// Secret is the token itself, "" where the file has its SHA-256 alone.
	Secret string
}

// Parse reads the tokens of a file: one a line, each behind its name and a space. A # begins a comment, at the start of a
// line. In place of a token may stand "sha256:" and its SHA-256 in hexadecimal, so that the file is no secret. There is
// at least one. Errors tell the line, and nothing of what it says.
//
//	# who may ask
//	checkout qmJ5oT0tSPq1Ym9Xx3WcXw
//	search   sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
func Parse(b []byte) ([]Token, error) {
	if len(b) > MaxFile {
		return nil, fmt.Errorf("more than %d bytes", MaxFile)
	}
	var all []Token
	names, sums := map[string]int{}, map[[sha256.Size]byte]int{}
	number := 0
	for line := range bytes.Lines(b) {
		number++
		words := strings.Fields(string(line))
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		t, err := parseLine(words)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if was := names[t.Name]; was != 0 {
			return nil, fmt.Errorf("line %d: line %d has the same name", number, was)
		}
		if was := sums[t.Sum]; was != 0 {
			return nil, fmt.Errorf("line %d: line %d has the same token", number, was)
		}
		names[t.Name], sums[t.Sum] = number, number
		if all = append(all, t); len(all) > MaxTokens {
			return nil, fmt.Errorf("line %d: more than %d tokens", number, MaxTokens)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no token in it: want lines of a name and a token")
	}
	return all, nil
}

// parseLine reads the words of one line.
func parseLine(words []string) (Token, error) {
	if len(words) != 2 {
		return Token{}, errors.New("want a name and a token with a space between")
	}
	name, secret := words[0], words[1]
	if err := checkName(name); err != nil {
		return Token{}, err
	}
	if text, ok := strings.CutPrefix(secret, digested); ok {
		sum, err := hex.DecodeString(text)
		if err != nil || len(sum) != sha256.Size {
			return Token{}, fmt.Errorf("want %d hexadecimal digits behind %s", 2*sha256.Size, digested)
		}
		return Token{Name: name, Sum: [sha256.Size]byte(sum)}, nil
	}
	if err := checkToken(secret); err != nil {
		return Token{}, err
	}
	return Token{Name: name, Sum: sha256.Sum256([]byte(secret)), Secret: secret}, nil
}

// checkName says what is wrong with the name of a token.
func checkName(name string) error {
	if len(name) > MaxName {
		return fmt.Errorf("the name has %d bytes, want at most %d", len(name), MaxName)
	}
	for _, c := range []byte(name) {
		if !letterOrDigit(c) && !strings.ContainsRune("-._@/:", rune(c)) {
			return errors.New("the name has other characters than -._@/: and letters and digits")
		}
	}
	return nil
}

// checkToken says what is wrong with a token: it has what RFC 6750 lets a header carry.
func checkToken(token string) error {
	if len(token) < MinToken || len(token) > MaxToken {
		return fmt.Errorf("the token has %d bytes, want %d to %d", len(token), MinToken, MaxToken)
	}
	for _, c := range []byte(token) {
		if !letterOrDigit(c) && !strings.ContainsRune("-._~+/=", rune(c)) {
			return errors.New("want a token of letters, digits and -._~+/=")
		}
	}
	return nil
}

// letterOrDigit says whether c is one.
func letterOrDigit(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
