package bucket

import (
	"errors"
	"fmt"
	"math/big"
	"time"
)

// A trial is a subject on its way through a story.
type trial struct {
	p     *Plan
	ideal *ideal
	b     subject
	now   int64
	last  Decision
	late  bool // some request was told a turn that no clock shows

	admitted []admission
}

// judge tells b's story and returns an error for the first promise that it breaks. If loose it looks only at what was
// admitted in the end.
func judge(s story, b subject, loose bool) error {
	p, err := NewPlan(s.Limit, time.Unix(0, 0))
	if err != nil {
		return err
	}
	tr := &trial{p: p, ideal: newIdeal(s.Limit), b: b, now: s.Start}
	for i, st := range s.Steps {
		tr.move(st)
		if tr.late {
			break
		}
		if err := tr.take(tr.cost(st)); err != nil && !loose {
			return fmt.Errorf("%v (ticks of %dns that pay %d/%d tokens), step %d %v at %d: %w", s.Limit, p.tick, p.n, p.p, i, st, tr.now, err)
		}
	}
	return overWindow(s.Limit, tr.admitted)
}

// move sets the clock.
func (tr *trial) move(s step) {
	way := int64(0)
	switch s.Move {
	case "ns":
		way = s.Part % 5
	case "tick":
		way = tr.p.tick * s.Part / 500
	case "retry":
		way = int64(tr.last.RetryAfter)
	case "early":
		way = max(0, int64(tr.last.RetryAfter)-s.Part%3)
	case "late":
		way = int64(tr.last.RetryAfter) + s.Part
	case "token":
		way = int64(tr.ideal.wait(tr.ideal.units(1)))
	case "burst":
		way = int64(tr.ideal.wait(tr.ideal.units(tr.p.limit.Burst)))
	case "reset":
		way = int64(tr.last.ResetAfter) - s.Part%2
	case "years":
		way = int64(year) / 100 * s.Part
	case "back":
		way = -min(tr.now, s.Part*s.Part)
	}
	if s.Move == "token" || s.Move == "burst" {
		way = way / 1000 * s.Part
	}
	if way < 0 && s.Move != "back" || way > int64(100*year) || tr.now+way > int64(150*year) {
		way = 0
	}
	tr.now += way
}

// cost returns what s asks for.
func (tr *trial) cost(s step) int64 {
	burst := tr.p.limit.Burst
	switch s.Cost {
	case "one":
		return 1
	case "few":
		return min(burst, 1+s.Part%5)
	case "all":
		return burst
	case "rest":
		return tr.last.Remaining
	case "more":
		return min(burst, tr.last.Remaining+1)
	case "some":
		return 1 + (burst-1)/1000*s.Part
	}
	return 0
}

// take asks for cost and judges the decision.
func (tr *trial) take(cost int64) error {
	before := tr.b.clone()
	d := tr.b.Take(Instant(tr.now), tr.p, cost)
	tr.last = d
	if err := tr.decision(d, cost); err != nil {
		return fmt.Errorf("%d tokens: %+v: %w", cost, d, err)
	}
	if err := tr.probe(before, d, cost); err != nil {
		return fmt.Errorf("%d tokens: %+v: %w", cost, d, err)
	}
	return nil
}

// decision judges d by the ideal bucket, and charges that with what d admits.
func (tr *trial) decision(d Decision, cost int64) error {
	m := tr.ideal
	at := max(tr.now, m.last)
	if !d.Allowed {
		return errors.Join(tr.denial(at, cost), tr.exact(d, m.after(at, cost), m.owed(at), at))
	}
	if cost == 0 {
		return tr.exact(d, m.owed(at), m.owed(at), at)
	}
	if tr.late = !tr.reaches(d.Delay); tr.late {
		return nil
	}
	turn := max(tr.now+int64(d.Delay), m.last)
	err := tr.admission(d, at, turn, cost)
	m.full.Add(maxBig(m.full, m.gain(max(turn, at))), m.units(cost))
	m.last = at
	tr.admitted = append(tr.admitted, admission{turn, cost})
	return errors.Join(err, tr.exact(d, nil, m.owed(at), at))
}

// lateness is how much less the ideal bucket may owe.
func (tr *trial) lateness() *big.Int {
	if tr.p.tick == 1 {
		return new(big.Int)
	}
	return tr.ideal.gain(2 * tr.p.tick)
}

// denial judges a request denied.
func (tr *trial) denial(at, cost int64) error {
	m, l := tr.ideal, tr.p.limit
	line, owed := m.units(l.Burst+l.Queue), m.after(at, cost)
	if owed.Add(owed, tr.lateness()).Cmp(line) < 0 || tr.p.tick == 1 && owed.Cmp(line) == 0 {
		return fmt.Errorf("denied, but there is room: %v of %v are owed", owed, line)
	}
	return nil
}

// admission judges a request admitted that counts as of its turn.
func (tr *trial) admission(d Decision, at, turn, cost int64) error {
	m, l := tr.ideal, tr.p.limit
	if owed, line := m.after(turn, cost), m.units(l.Burst); owed.Cmp(line) > 0 {
		return fmt.Errorf("admitted, but there is no room at %d: %v of %v would be owed", turn, owed, line)
	}
	owed, line := m.after(at, cost), m.units(l.Burst+l.Queue)
	if owed.Sub(owed, tr.lateness()).Cmp(line) > 0 {
		return fmt.Errorf("admitted, but there is no room in the queue: %v of %v would be owed", owed, line)
	}
	early := turn - max(2*tr.p.tick-1, 1)
	if d.Delay > 0 && early >= at && m.after(early, cost).Cmp(m.units(l.Burst)) <= 0 {
		return fmt.Errorf("delayed until %d, but there is room at %d", turn, early)
	}
	return nil
}

func maxBig(a, b *big.Int) *big.Int {
	if a.Cmp(b) > 0 {
		return a
	}
	return b
}

// exact judges the figures of d where ticks are nanoseconds: asked is the debt with what was denied, owed the one now.
func (tr *trial) exact(d Decision, asked, owed *big.Int, at int64) error {
	if tr.p.tick != 1 {
		return nil
	}
	m, l := tr.ideal, tr.p.limit
	since := func(wait time.Duration) time.Duration {
		if wait == 0 || wait == Never {
			return wait
		}
		return wait + time.Duration(at-tr.now)
	}
	want := Decision{Allowed: d.Allowed, Remaining: m.remaining(owed), ResetAfter: since(m.wait(owed)), Delay: d.Delay}
	if !d.Allowed {
		want.RetryAfter = since(m.wait(new(big.Int).Sub(asked, m.units(l.Burst+l.Queue))))
	}
	if d != want {
		return fmt.Errorf("want %+v", want)
	}
	return nil
}

// probe judges the figures of d by what comes true of them if nobody else asks.
func (tr *trial) probe(before subject, d Decision, cost int64) error {
	take := func(b subject, after time.Duration, cost int64) Decision {
		return b.clone().Take(Instant(tr.now+int64(after)), tr.p, cost)
	}
	if d.Remaining < 0 || d.Remaining > tr.p.limit.Burst {
		return errors.New("Remaining is out of range")
	}
	if got := take(tr.b, 0, d.Remaining); !got.Allowed || got.Delay > 0 {
		return fmt.Errorf("what remains is not there: %+v", got)
	}
	if got := take(tr.b, 0, d.Remaining+1); d.Remaining < tr.p.limit.Burst && got.Allowed && got.Delay == 0 {
		return fmt.Errorf("more than what remains is there: %+v", got)
	}
	if reset := d.ResetAfter; tr.reaches(reset) {
		if !tr.b.Full(Instant(tr.now+int64(reset)), tr.p) || reset > 0 && tr.b.Full(Instant(tr.now+int64(reset)-1), tr.p) {
			return errors.New("ResetAfter is not when it is full again")
		}
	}
	retry := d.RetryAfter
	switch {
	case d.Allowed != (retry == 0):
		return errors.New("RetryAfter does not go with Allowed")
	case d.Allowed || !tr.reaches(retry):
		return nil
	case !take(before, retry, cost).Allowed:
		return errors.New("not allowed at RetryAfter")
	case take(before, retry-1, cost).Allowed:
		return errors.New("allowed before RetryAfter")
	}
	return nil
}

// reaches says whether the clock can show the time after wait.
func (tr *trial) reaches(wait time.Duration) bool { return wait < Never-time.Duration(tr.now) }
