package llm

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// Tokens count by their weights, rounded up over all of them.
func TestCost(t *testing.T) {
	cases := []struct {
		weights Weights
		usage   Usage
		want    int64
	}{
		{Weights{}, Usage{Input: 10, Cached: 4, Output: 5}, 15},
		{Weights{Output: 4000, Cached: 100}, Usage{Input: 10, Cached: 4, Output: 5}, 27}, // 6 + 0.4 + 20, rounded up
		{Weights{Cached: Free}, Usage{Input: 10, Cached: 4}, 6},
		{Weights{Input: Free, Output: Free}, Usage{Input: 10, Output: 4}, 0},
		{Weights{Input: 1}, Usage{Input: 1}, 1},
		{Weights{}, Usage{Input: -5, Output: -7, Cached: 3}, 0},
		{Weights{}, Usage{Input: 2, Cached: 9}, 2},
		{Weights{Input: math.MaxInt64, Output: math.MaxInt64}, Usage{Input: math.MaxInt64, Output: math.MaxInt64}, math.MaxInt64},
	}
	for _, c := range cases {
		if got := c.weights.Cost(c.usage); got != c.want {
			t.Errorf("%+v.Cost(%+v) = %d, want %d", c.weights, c.usage, got, c.want)
		}
	}
}

// Cost is what exact arithmetic says, for all numbers.
func TestCostIsExact(t *testing.T) {
	weight := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-1, 20000))
	tokens := rapid.OneOf(rapid.Int64(), rapid.Int64Range(0, 1<<40))
	rapid.Check(t, func(t *rapid.T) {
		w := Weights{Input: weight.Draw(t, "w_in"), Output: weight.Draw(t, "w_out"), Cached: weight.Draw(t, "w_cached")}
		u := Usage{Input: tokens.Draw(t, "in"), Output: tokens.Draw(t, "out"), Cached: tokens.Draw(t, "cached")}
		sum := new(big.Int)
		add := func(weight, tokens int64) {
			if weight == 0 {
				weight = One
			}
			sum.Add(sum, new(big.Int).Mul(big.NewInt(max(weight, 0)), big.NewInt(max(tokens, 0))))
		}
		cached := min(max(u.Cached, 0), max(u.Input, 0))
		add(w.Input, u.Input-cached)
		add(w.Output, u.Output)
		add(w.Cached, cached)
		sum.Div(sum.Add(sum, big.NewInt(One-1)), big.NewInt(One))
		want := int64(math.MaxInt64)
		if sum.IsInt64() {
			want = sum.Int64()
		}
		if got := w.Cost(u); got != want {
			t.Fatalf("%+v.Cost(%+v) = %d, want %d", w, u, got, want)
		}
	})
}

// A model has the weights of its name, else of the longest pattern.
func TestModelsOf(t *testing.T) {
	m := Models{"gpt-4o": {Input: 1}, "gpt-*": {Input: 2}, "gpt-4*": {Input: 3}, "*": {Input: 4}}
	for model, want := range map[string]int64{"gpt-4o": 1, "gpt-3": 2, "gpt-4o-mini": 3, "claude": 4} {
		if got := m.Of(model).Input; got != want {
			t.Errorf("Of(%q).Input = %d, want %d", model, got, want)
		}
	}
	if got := Models(nil).Of("any"); got != (Weights{}) {
		t.Errorf("Of of none = %+v, want zero", got)
	}
}

// An estimate is of the prompt and of all that may come out.
func TestEstimate(t *testing.T) {
	if got := (Weights{Output: 2000}).Estimate(Call{Prompt: 10, MaxOutput: 50}); got != 110 {
		t.Errorf("Estimate = %d, want 110", got)
	}
}
