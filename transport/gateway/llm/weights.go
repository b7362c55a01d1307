package llm

import (
	"math"
	"math/bits"
	"strings"
)

// One is the weight of a token that counts as one.
const One = 1000

// Free is the weight of a token that counts as none.
const Free = -1

// Weights say what tokens count on a limit, in thousandths: 4000 is four. Zero means One.
type Weights struct {
	Input, Output int64

	// Cached is the weight of input that was read from a cache, which then does not count as Input.
	Cached int64
}

// Cost returns what u counts in all, rounded up. It is never negative.
func (w Weights) Cost(u Usage) int64 {
	cached := min(max(u.Cached, 0), max(u.Input, 0))
	var sum total
	sum.add(weight(w.Input), u.Input-cached)
	sum.add(weight(w.Output), u.Output)
	sum.add(weight(w.Cached), cached)
	return sum.thousandth()
}

// Estimate returns the most that c is expected to count: its prompt, and as much output as it may have.
func (w Weights) Estimate(c Call) int64 {
	return w.Cost(Usage{Input: c.Prompt, Output: c.MaxOutput})
}

// weight returns what w means.
func weight(w int64) uint64 {
	switch {
	case w == 0:
		return One
	case w < 0:
		return 0
	}
	return uint64(w)
}

// total is a sum that cannot overflow: of products of three pairs of 63 bits.
type total struct{ hi, lo uint64 }

// add adds weight times tokens, nothing if tokens is negative.
func (t *total) add(weight uint64, tokens int64) {
	if tokens <= 0 {
		return
	}
	hi, lo := bits.Mul64(weight, uint64(tokens))
	var carry uint64
	t.lo, carry = bits.Add64(t.lo, lo, 0)
	t.hi, _ = bits.Add64(t.hi, hi, carry)
}

// thousandth returns t divided by One, rounded up, at most the largest int64.
func (t *total) thousandth() int64 {
	lo, carry := bits.Add64(t.lo, One-1, 0)
	hi := t.hi + carry
	if hi >= One {
		return math.MaxInt64
	}
	n, _ := bits.Div64(hi, lo, One)
	return int64(min(n, math.MaxInt64))
}

// Models are the weights of models by name. A name that ends in * stands for all that begin with what is before it. nil
// is fine: all tokens of all models count as one.
type Models map[string]Weights

// Of returns the weights of a model: those under its name, else under the longest name with a * that fits, else zero.
func (m Models) Of(model string) Weights {
	if w, ok := m[model]; ok {
		return w
	}
	var found Weights
	longest := -1
	for name, w := range m {
		begin, open := strings.CutSuffix(name, "*")
		if open && len(begin) > longest && strings.HasPrefix(model, begin) {
			found, longest = w, len(begin)
		}
	}
	return found
}
