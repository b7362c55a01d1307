package bucket

import (
	"math"
	"testing"
	"time"
)

// The bugs that the judge is to find, each in a bucket that is otherwise ours, or nearly.

// rounded keeps a theoretical arrival time in nanoseconds and rounds a token's share of the period to the nearest one.
type rounded struct{ tat int64 }

func (b *rounded) clone() subject { c := *b; return &c }

func (b *rounded) Full(now Instant, _ *Plan) bool { return b.tat <= int64(now) }

func (b *rounded) Take(now Instant, p *Plan, cost int64) Decision {
	token := int64(math.Round(float64(p.limit.Per) / float64(p.limit.Tokens)))
	tat := max(b.tat, int64(now)) + cost*token
	line := int64(now) + p.limit.Burst*token
	if tat > line {
		return Decision{RetryAfter: time.Duration(tat - line)}
	}
	b.tat = tat
	return Decision{Allowed: true, ResetAfter: time.Duration(tat - int64(now)), Remaining: (line - tat) / max(1, token)}
}

// floats counts tokens as floating point numbers, as most do.
type floats struct {
	debt float64
	at   Instant
}

func (b *floats) clone() subject { c := *b; return &c }

func (b *floats) owed(now Instant, p *Plan) float64 {
	return max(0, b.debt-float64(max(0, now-b.at))*float64(p.limit.Tokens)/float64(p.limit.Per))
}

func (b *floats) Full(now Instant, p *Plan) bool { return b.owed(now, p) == 0 }

func (b *floats) Take(now Instant, p *Plan, cost int64) Decision {
	debt, each := b.owed(now, p), float64(p.limit.Per)/float64(p.limit.Tokens)
	if over := debt + float64(cost) - float64(p.limit.Burst); over > 0 {
		return Decision{Remaining: p.limit.Burst - int64(math.Ceil(debt)), RetryAfter: time.Duration(math.Ceil(over * each))}
	}
	b.debt, b.at = debt+float64(cost), max(b.at, now)
	return Decision{Allowed: true, Remaining: p.limit.Burst - int64(math.Ceil(b.debt)), ResetAfter: time.Duration(math.Ceil(b.debt * each))}
}

// planted is our Bucket with something done to a call.
type planted struct {
	ours
	bug bug
}

func (b *planted) clone() subject { c := *b; return &c }

func (b *planted) Take(now Instant, p *Plan, cost int64) Decision {
	return b.bug(&b.Bucket, now, p, cost)
}

// with returns p with a change.
func with(p *Plan, change func(*Plan)) *Plan {
	q := &Plan{limit: p.limit, n: p.n, p: p.p, tick: p.tick, byN: p.byN, byP: p.byP, empty: p.empty, line: p.line}
	change(q)
	return q
}

// A bug is a wrong Take.
type bug func(b *Bucket, now Instant, p *Plan, cost int64) Decision

// overs are bugs that admit too much: they are to be found by what was admitted alone.
func overs() map[string]bug {
	return map[string]bug{
		"admits one unit too much": func(b *Bucket, now Instant, p *Plan, cost int64) Decision {
			return b.Take(now, with(p, func(q *Plan) { q.line++; q.empty++ }), cost)
		},
		"reads coarse ticks as of their end": func(b *Bucket, now Instant, p *Plan, cost int64) Decision {
			return b.Take(Instant(p.ceil(now)*p.tick), p, cost)
		},
		"charges coarse ticks as of their begin": func(b *Bucket, now Instant, p *Plan, cost int64) Decision {
			before := *b
			d := b.Take(now, p, cost)
			if debt, at := before.owed(now, p); d.Allowed && cost > 0 && d.Delay == 0 {
				b.debt, b.at = debt+cost*p.p, at
			}
			return d
		},
		"takes an older reading for a newer one": func(b *Bucket, now Instant, p *Plan, cost int64) Decision {
			d := b.Take(now, p, cost)
			if d.Allowed && cost > 0 {
				b.at = min(b.at, p.floor(now))
			}
			return d
		},
		"lets a queue forget what is lost before a turn": func(b *Bucket, now Instant, p *Plan, cost int64) Decision {
			debt, _ := b.owed(now, p)
			d := b.Take(now, p, cost)
			if d.Delay > 0 {
				b.debt = debt + cost*p.p
			}
			return d
		},
		"forgets to delay": func(b *Bucket, now Instant, p *Plan, cost int64) Decision {
			d := b.Take(now, p, cost)
			d.Delay = 0
			return d
		},
	}
}

// unders are bugs that are not exact in other ways.
func unders() map[string]bug {
	return map[string]bug{
		"denies one unit too early": func(b *Bucket, now Instant, p *Plan, cost int64) Decision {
			return b.Take(now, with(p, func(q *Plan) { q.line-- }), cost)
		},
		"starts anew at a denial, so that a tick's fraction is lost": func(b *Bucket, now Instant, p *Plan, cost int64) Decision {
			d := b.Take(now, p, cost)
			if !d.Allowed {
				b.at = max(b.at, p.ceil(now))
			}
			return d
		},
		"charges denials": func(b *Bucket, now Instant, p *Plan, cost int64) Decision {
			d := b.Take(now, p, cost)
			if !d.Allowed {
				b.Charge(now, p, 1)
			}
			return d
		},
		"rounds RetryAfter down": func(b *Bucket, now Instant, p *Plan, cost int64) Decision {
			d := b.Take(now, p, cost)
			if d.RetryAfter > 1 && d.RetryAfter != Never {
				d.RetryAfter--
			}
			return d
		},
		"rounds Remaining up": func(b *Bucket, now Instant, p *Plan, cost int64) Decision {
			d := b.Take(now, p, cost)
			if debt, _ := b.owed(now, p); debt%p.p != 0 && debt < p.empty {
				d.Remaining++
			}
			return d
		},
		"lets 64 bits overflow": func(b *Bucket, now Instant, p *Plan, cost int64) Decision {
			if p.floor(now)-b.at > math.MaxInt64/max(1, p.n) {
				return b.Take(Instant(b.at*p.tick+1), p, cost)
			}
			return b.Take(now, p, cost)
		},
	}
}

// The judge finds each of the bugs.
func TestJudgeFindsBugs(t *testing.T) {
	found := func(name string, loose bool, b func() subject) {
		t.Run(name, func(t *testing.T) {
			for seed := range 20_000 {
				if err := judge(stories().Example(seed), b(), loose); err != nil {
					t.Logf("story %d: %v", seed, err)
					return
				}
			}
			t.Error("no story tells")
		})
	}
	for name, bug := range overs() {
		found(name, true, func() subject { return &planted{bug: bug} })
	}
	for name, bug := range unders() {
		found(name, false, func() subject { return &planted{bug: bug} })
	}
	found("rounds the period of a token", true, func() subject { return new(rounded) })
	found("counts in floats", true, func() subject { return new(floats) })
}

// A rounded period is not only found at the edges: over a millisecond it admits more than it may.
func TestOverWindowFindsRounding(t *testing.T) {
	l := Limit{Tokens: 9_000_000, Per: time.Second, Burst: 10}
	p, err := NewPlan(l, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]subject{"ours": new(ours), "rounded": new(rounded)} {
		var admitted []admission
		for now := range int64(1_000_000) {
			if b.Take(Instant(now), p, 1).Allowed {
				admitted = append(admitted, admission{now, 1})
			}
		}
		if err := overWindow(l, admitted); (err != nil) != (name == "rounded") {
			t.Errorf("overWindow of %s: %v", name, err)
		}
	}
}
