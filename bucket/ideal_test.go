package bucket

import (
	"fmt"
	"math/big"
	"slices"
	"time"
)

// ideal is the bucket that all others are measured by: it knows time exactly and counts in 1/Per of a token with as many
// digits as it takes. It does not decide: it is charged with what another bucket admitted.
type ideal struct {
	l    Limit
	full *big.Int // when it is full, in ns times Tokens
	last int64    // ns; when it was charged last
}

func newIdeal(l Limit) *ideal { return &ideal{l: l, full: new(big.Int)} }

// units returns tokens in 1/Per of one.
func (m *ideal) units(tokens int64) *big.Int {
	return new(big.Int).Mul(big.NewInt(tokens), big.NewInt(max(1, int64(m.l.Per))))
}

// gain returns what the bucket gains in ns, in units.
func (m *ideal) gain(ns int64) *big.Int {
	return new(big.Int).Mul(big.NewInt(ns), big.NewInt(m.l.Tokens))
}

// owed returns the debt at a time in units.
func (m *ideal) owed(at int64) *big.Int {
	owed := new(big.Int).Sub(m.full, m.gain(max(at, m.last)))
	if owed.Sign() < 0 {
		owed.SetInt64(0)
	}
	return owed
}

// after returns the debt at a time after one more request of cost.
func (m *ideal) after(at, cost int64) *big.Int { return new(big.Int).Add(m.owed(at), m.units(cost)) }

// wait returns the ns until a debt is paid back, rounded up; Never if it never is or that takes too long.
func (m *ideal) wait(debt *big.Int) time.Duration {
	if debt.Sign() <= 0 {
		return 0
	}
	if m.l.Tokens == 0 {
		return Never
	}
	tokens := big.NewInt(m.l.Tokens)
	ns := new(big.Int).Add(debt, tokens)
	ns.Sub(ns, big.NewInt(1)).Div(ns, tokens)
	if !ns.IsInt64() {
		return Never
	}
	return time.Duration(ns.Int64())
}

// remaining returns the whole tokens left after a debt.
func (m *ideal) remaining(debt *big.Int) int64 {
	left := new(big.Int).Sub(m.units(m.l.Burst), debt)
	if left.Sign() < 0 {
		return 0
	}
	return left.Div(left, m.units(1)).Int64()
}

// admission is cost tokens that were admitted, at the time at which they count.
type admission struct{ at, cost int64 }

// overWindow returns an error if more was admitted within any stretch of time than the burst and what is gained in it.
func overWindow(l Limit, admissions []admission) error {
	sorted := slices.SortedFunc(slices.Values(admissions), func(a, b admission) int { return int(max(-1, min(1, a.at-b.at))) })
	m := newIdeal(l)
	worst, from, sum := new(big.Int), int64(0), new(big.Int) // sum: admitted since from, less what was gained
	for i, a := range sorted {
		if i > 0 {
			sum.Sub(sum, m.gain(a.at-sorted[i-1].at))
		}
		if sum.Sign() <= 0 {
			sum.SetInt64(0)
			from = a.at
		}
		sum.Add(sum, m.units(a.cost))
		if over := new(big.Int).Sub(sum, m.units(l.Burst)); over.Cmp(worst) > 0 {
			return fmt.Errorf("%v: from %d to %d ns %v/%d of a token too many were admitted", l, from, a.at, over, l.Per)
		}
	}
	return nil
}
