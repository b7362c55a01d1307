package bucket

import (
	"fmt"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A deal is what happens to a bucket whose takes are given back at times.
type deal struct {
	Limit Limit
	Start int64
	Steps []dealStep
}

type dealStep struct {
	Do   string
	Step step
	Pick int // which receipt or copy
}

func deals() *rapid.Generator[deal] {
	return rapid.Custom(func(t *rapid.T) deal {
		return deal{
			Limit: drawSteady(t),
			Start: rapid.Int64Range(0, int64(year)).Draw(t, "start"),
			Steps: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) dealStep {
				return dealStep{
					Do:   rapid.SampledFrom([]string{"take", "take", "take", "hold", "hold", "refund", "refund", "merge", "charge"}).Draw(t, "do"),
					Step: drawStep(t),
					Pick: rapid.IntRange(0, 100).Draw(t, "pick"),
				}
			}), 1, 40).Draw(t, "steps"),
		}
	})
}

// A refunder is Bucket.Refund, or has a planted bug.
type refunder func(b *Bucket, now Instant, p *Plan, r Receipt, since int64) int64

// held is a take that may be given back.
type held struct {
	index   int // among the admissions
	receipt Receipt
	given   int64 // by all refunds before it
}

// dealing is a bucket on its way through a deal.
type dealing struct {
	trial
	b      Bucket
	refund refunder

	held   []held
	given  int64
	undone map[int]bool // admissions given back
	extra  map[int]bool // admissions that are charges
	copies []Bucket
	latest int64 // reading of the clock
	merged int64 // the latest when copies were merged: a Refund reads no older one then
}

// judgeRefunds goes through a deal and returns an error if more remains admitted than may be, or if the bucket owes less
// than if what was given back had never been taken.
func judgeRefunds(s deal, refund refunder, loose bool) error {
	p, err := NewPlan(s.Limit, time.Unix(0, 0))
	if err != nil {
		return err
	}
	d := dealing{refund: refund, undone: make(map[int]bool), extra: make(map[int]bool)}
	d.trial = trial{p: p, ideal: newIdeal(s.Limit), now: s.Start}
	for i, st := range s.Steps {
		d.move(st.Step)
		if d.latest = max(d.latest, d.now); st.Do == "refund" {
			d.now = max(d.now, d.merged)
		}
		if !d.step(st) {
			break
		}
		if err := d.less(); err != nil && !loose {
			return fmt.Errorf("%v (ticks of %dns that pay %d/%d tokens), step %d %v at %d: %w", s.Limit, p.tick, p.n, p.p, i, st, d.now, err)
		}
	}
	var kept []admission
	for i, a := range d.admitted {
		if !d.undone[i] && !d.extra[i] {
			kept = append(kept, a)
		}
	}
	return overWindow(s.Limit, kept)
}

// less returns an error if the bucket will be full before an ideal bucket that never saw what was given back.
func (d *dealing) less() error {
	m := newIdeal(d.p.limit)
	for i, a := range d.admitted {
		if !d.undone[i] {
			m.full = new(big.Int).Add(maxBig(m.full, m.gain(a.at)), m.units(a.cost))
		}
	}
	debt, at := d.b.owed(Instant(d.now), d.p)
	full := new(big.Int).Mul(big.NewInt(debt), m.units(1))
	full.Div(full, big.NewInt(d.p.p)).Add(full, m.gain(at*d.p.tick))
	if m.full.Cmp(maxBig(full, m.gain(max(d.now, d.ideal.last)))) > 0 {
		return fmt.Errorf("the bucket is full at %v/%d ns, at %v/%[2]d without what was given back", full, d.p.limit.Tokens, m.full)
	}
	return nil
}

// step does what st says. It is false if time has come to an end.
func (d *dealing) step(st dealStep) bool {
	now := Instant(d.now)
	switch st.Do {
	case "take", "hold":
		cost := d.cost(st.Step)
		d.last = d.b.Take(now, d.p, cost)
		if !d.last.Allowed || cost == 0 {
			break
		}
		if !d.reaches(d.last.Delay) {
			return false
		}
		if st.Do == "hold" {
			d.held = append(d.held, held{len(d.admitted), d.b.Receipt(d.p, cost), d.given})
		}
		d.admit(now+Instant(d.last.Delay), cost)
	case "charge":
		cost := d.cost(st.Step)
		if debt, _ := d.b.owed(now, d.p); cost > 0 && d.p.limit.Queue == 0 && debt+d.p.cost(cost) <= maxDebt {
			d.b.Charge(now, d.p, cost)
			d.extra[len(d.admitted)] = true
			d.admit(now, cost)
		}
	case "refund":
		if len(d.held) > 0 {
			i := st.Pick % len(d.held)
			h := d.held[i]
			d.held = append(d.held[:i], d.held[i+1:]...)
			since := d.given - h.given
			if d.p.n == 0 {
				since = 0
			}
			units := d.refund(&d.b, now, d.p, h.receipt, since)
			if d.given += units; units > 0 {
				d.ideal.last = max(d.ideal.last, d.now) // it has seen that time
			}
			d.undone[h.index] = true
		}
	case "merge":
		if len(d.copies) > 0 {
			d.b.Merge(d.p, d.copies[st.Pick%len(d.copies)])
			d.merged = d.latest
		}
	}
	d.copies = append(d.copies, d.b)
	return true
}

// admit notes an admission.
func (d *dealing) admit(at Instant, cost int64) {
	d.ideal.last = max(d.ideal.last, d.now)
	d.admitted = append(d.admitted, admission{max(int64(at), d.ideal.last), cost})
}

// What remains admitted is never more than may be, whatever was given back, when, and in which order.
func TestRefundsKeepTheBound(t *testing.T) {
	checkMany(t, 50, func(t *rapid.T) {
		if err := judgeRefunds(deals().Draw(t, "deal"), (*Bucket).Refund, false); err != nil {
			t.Fatal(err)
		}
	})
}

// lost is a deal in which all that was given back is lost again before the second refund.
func lost() deal {
	do := func(do, move string, part int64, cost string) dealStep {
		return dealStep{Do: do, Step: step{Move: move, Part: part, Cost: cost}}
	}
	return deal{Limit: Limit{Tokens: 1, Per: time.Second, Burst: 5}, Steps: []dealStep{
		do("hold", "", 3, "few"), do("hold", "", 0, "one"), do("refund", "", 0, ""),
		do("take", "token", 1000, "all"), do("refund", "", 0, ""), do("take", "", 0, "one"),
	}}
}

// The judge of refunds finds those that give too much, by what remained admitted alone.
func TestJudgeFindsRefunds(t *testing.T) {
	for name, bug := range map[string]refunder{
		"gives everything": func(b *Bucket, now Instant, p *Plan, r Receipt, _ int64) int64 {
			debt, at := b.owed(now, p)
			units := min(debt, r.units)
			b.debt, b.at = debt-units, at
			return units
		},
		"forgets other refunds": func(b *Bucket, now Instant, p *Plan, r Receipt, _ int64) int64 {
			return b.Refund(now, p, r, 0)
		},
		"forgets the queue": func(b *Bucket, now Instant, p *Plan, r Receipt, since int64) int64 {
			return b.Refund(now, with(p, func(q *Plan) { q.line = q.empty }), r, since)
		},
		"takes the debt now for the least since": func(b *Bucket, now Instant, p *Plan, r Receipt, since int64) int64 {
			debt, _ := b.owed(now, p)
			r.owed = max(r.owed, debt)
			r.at = p.floor(now)
			return b.Refund(now, p, r, since)
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := lost()
			for seed := range 20_000 {
				if err := judgeRefunds(d, bug, true); err != nil {
					t.Logf("deal %d: %v", seed, err)
					return
				}
				d = deals().Example(seed)
			}
			t.Error("no deal tells")
		})
	}
}

// What was taken is given back whole if the bucket owed, before the take, what it gained until the refund.
func TestRefundIsWhole(t *testing.T) {
	second := Instant(time.Second)
	steady := Limit{Tokens: 10, Per: time.Second, Burst: 100}
	for _, c := range []struct {
		name   string
		limit  Limit
		before int64 // taken before
		after  int64 // taken after
		at     Instant
		want   int64 // tokens given back of 20
	}{
		{"at once", steady, 0, 0, 0, 20},
		{"at once, others after it", steady, 0, 50, 0, 20},
		{"when half is regained", steady, 0, 0, second, 10},
		{"when all is regained", steady, 0, 0, 2 * second, 0},
		{"when all is regained and taken again", steady, 0, 80, 2 * second, 0},
		{"from a busy bucket", steady, 50, 30, 5 * second, 20},
		{"when a busy bucket was perhaps full", steady, 50, 30, 6 * second, 10},
		{"when a busy bucket was perhaps full for long", steady, 50, 30, 7 * second, 0},
		{"a quota, after years", Limit{Burst: 100}, 50, 30, Instant(year), 20},
		{"a quota, nothing else taken", Limit{Burst: 100}, 0, 0, Instant(year), 20},
		{"a window", Limit{Burst: 100, Window: Day}, 50, 30, Instant(time.Hour), 20},
		{"a window, over", Limit{Burst: 100, Window: Day}, 50, 30, Instant(day), 0},
		{"a queue, the last in it", Limit{Tokens: 10, Per: time.Second, Burst: 20, Queue: 100}, 50, 0, second, 20},
		{"a queue, others behind", Limit{Tokens: 10, Per: time.Second, Burst: 20, Queue: 100}, 50, 20, second, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := planOf(t, c.limit)
			var b Bucket
			take := func(tokens int64) {
				for ; tokens > 0; tokens -= 10 {
					if d := b.Take(0, p, min(tokens, 10)); !d.Allowed {
						t.Fatalf("denied: %+v", d)
					}
				}
			}
			take(c.before)
			b.Take(0, p, 20)
			r := b.Receipt(p, 20)
			take(c.after)
			if got, want := b.Refund(c.at, p, r, 0), c.want*p.p; got != want {
				t.Errorf("Refund = %d/%d tokens, want %d", got, p.p, c.want)
			}
		})
	}
}
