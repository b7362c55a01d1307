package bucket

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// windowed is what a bucket with a window is to be: what was taken in the last window that any was taken in.
type windowed struct {
	l     Limit
	opens func(time.Time) (start, end time.Time)
	start time.Time
	end   time.Time
	taken int64
}

// take decides on cost at a wall time.
func (m *windowed) take(wall time.Time, cost int64) Decision {
	start, end := m.opens(wall)
	taken := int64(0)
	if m.taken > 0 && !m.start.Before(start) {
		start, end, taken = m.start, m.end, m.taken
	}
	d := Decision{Allowed: cost == 0 || taken+cost <= m.l.Burst}
	if !d.Allowed {
		d.RetryAfter = end.Sub(wall)
	} else if cost > 0 {
		taken += cost
		m.start, m.end, m.taken = start, end, taken
	}
	d.Remaining = max(0, m.l.Burst-taken)
	if taken > 0 {
		d.ResetAfter = end.Sub(wall)
	}
	return d
}

// A wall tells a story to a bucket with a window: an epoch, then steps of time, of the wall clock, and requests.
type wall struct {
	Limit Limit
	Epoch int64
	Steps []wallStep
}

type wallStep struct {
	Gap  int64 // ns that pass
	Set  int64 // ns by which the wall clock is set forward
	Cost int64
}

func walls() *rapid.Generator[wall] {
	return rapid.Custom(func(t *rapid.T) wall {
		w := wall{Limit: Limit{Burst: rapid.Int64Range(1, 10).Draw(t, "burst")}}
		w.Limit.Window = rapid.SampledFrom([]Window{Fixed, Hour, Day, Week, Month, Year}).Draw(t, "window")
		if w.Limit.Window == Fixed {
			w.Limit.Per = time.Duration(rapid.Int64Range(1, int64(40*day)).Draw(t, "per"))
		} else {
			w.Limit.Zone = rapid.SampledFrom([]string{"", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe"}).Draw(t, "zone")
		}
		way := rapid.OneOf(rapid.Int64Range(0, 10), rapid.Int64Range(0, int64(2*time.Hour)), rapid.Int64Range(0, int64(40*day)))
		w.Epoch = rapid.Int64Range(0, int64(60*year)).Draw(t, "epoch")
		w.Steps = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) wallStep {
			s := wallStep{Gap: way.Draw(t, "gap"), Cost: rapid.Int64Range(0, w.Limit.Burst).Draw(t, "cost")}
			if rapid.IntRange(0, 4).Draw(t, "sets") == 0 {
				s.Set = way.Draw(t, "forward") - way.Draw(t, "back")
			}
			return s
		}), 1, 40).Draw(t, "steps")
		return w
	})
}

// judgeWindow returns an error for the first decision that is not the model's, or not kept.
func judgeWindow(w wall, take func(b *Bucket, now Instant, p *Plan, cost int64) Decision) error {
	p, err := NewPlan(w.Limit, time.Unix(0, w.Epoch))
	if err != nil {
		return err
	}
	m := windowed{l: w.Limit, opens: p.opens}
	var b Bucket
	now, epoch := Instant(0), w.Epoch
	for i, s := range w.Steps {
		now += Instant(s.Gap)
		if s.Set != 0 {
			epoch += s.Set
			p.SetEpoch(time.Unix(0, epoch))
		}
		got := take(&b, now, p, s.Cost)
		want := m.take(time.Unix(0, epoch+int64(now)), s.Cost)
		if got != want {
			return fmt.Errorf("%v: step %d: Take of %d = %+v, want %+v", w.Limit, i, s.Cost, got, want)
		}
		if retry := got.RetryAfter; retry > 0 {
			early, late := b, b
			if early.Take(now+Instant(retry)-1, p, s.Cost).Allowed || !late.Take(now+Instant(retry), p, s.Cost).Allowed {
				return fmt.Errorf("%v: step %d: not RetryAfter: %+v", w.Limit, i, got)
			}
		}
		if !b.Full(now+Instant(got.ResetAfter), p) || got.ResetAfter > 0 && b.Full(now+Instant(got.ResetAfter)-1, p) {
			return fmt.Errorf("%v: step %d: not ResetAfter: %+v", w.Limit, i, got)
		}
	}
	return nil
}

// A window admits its burst and no more, tells exactly when the next one opens, and never opens twice however the wall
// clock is set.
func TestWindowIsTheModel(t *testing.T) {
	checkMany(t, 5, func(t *rapid.T) {
		if err := judgeWindow(walls().Draw(t, "wall"), (*Bucket).Take); err != nil {
			t.Fatal(err)
		}
	})
}

func TestWindowJudgeFindsBugs(t *testing.T) {
	for name, bug := range map[string]func(b *Bucket, now Instant, p *Plan, cost int64) Decision{
		"opens again after the clock is set back": func(b *Bucket, now Instant, p *Plan, cost int64) Decision {
			if name := p.window(now).name; b.at > name {
				*b = Bucket{}
			}
			return b.Take(now, p, cost)
		},
		"slides": func(b *Bucket, now Instant, p *Plan, cost int64) Decision {
			d := b.Take(now, p, cost)
			b.at = p.epoch.Load() + int64(now)
			return d
		},
		"tells the end of the window on the clock": func(b *Bucket, now Instant, p *Plan, cost int64) Decision {
			d := b.Take(now, p, cost)
			if d.RetryAfter > 0 {
				d.RetryAfter = p.window(now).end.Sub(now)
			}
			return d
		},
		"forgets that the clock was set": func(b *Bucket, now Instant, p *Plan, cost int64) Decision {
			q, err := NewPlan(p.limit, time.Unix(0, 0))
			if err != nil {
				return Decision{}
			}
			return b.Take(now, q, cost)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range 1000 {
				if err := judgeWindow(walls().Example(seed), bug); err != nil {
					t.Logf("wall %d: %v", seed, err)
					return
				}
			}
			t.Error("no wall tells")
		})
	}
}

// A debt that comes from a node with another clock counts in the window that ends when the sender's does, or nearly.
func TestWindowArrives(t *testing.T) {
	l := Limit{Burst: 10, Window: Fixed, Per: time.Minute}
	sender, receiver := planOf(t, l), planOf(t, l)
	for _, c := range []struct {
		name  string
		ahead time.Duration // of the receiver's wall clock
		at    Instant
		want  int64 // owed by the receiver at once
		later int64 // and one minute later
	}{
		{"same clock", 0, Instant(30 * time.Second), 7, 0},
		{"one second ahead, in the same minute", time.Second, Instant(30 * time.Second), 7, 0},
		{"one second ahead, in the next minute", time.Second, Instant(59*time.Second + 500*time.Millisecond), 0, 0},
		{"one second behind, in the minute before", -time.Second, Instant(60*time.Second + 500*time.Millisecond), 7, 7},
		{"hours ahead", 5*time.Hour + 7*time.Second, Instant(30 * time.Second), 7, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			receiver.SetEpoch(time.Unix(0, 0).Add(c.ahead))
			var b Bucket
			b.Take(c.at, sender, 7)
			got := receiver.arrived(c.at, &State{Limit: l, Debt: 7, Left: sender.left(c.at, b)})
			if owed, _ := got.missing(c.at, receiver); owed != c.want {
				t.Errorf("owes %d, want %d", owed, c.want)
			}
			if owed, _ := got.missing(c.at+Instant(time.Minute), receiver); owed != c.later {
				t.Errorf("owes %d a minute later, want %d", owed, c.later)
			}
		})
	}
}

// Many goroutines read windows while the wall clock is set; all see windows of the epoch that is set in the end.
func TestSetEpochWhileRead(t *testing.T) {
	p := planOf(t, Limit{Burst: 10, Window: Fixed, Per: time.Minute})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 10_000 {
			p.window(Instant(i))
		}
	}()
	for i := range 10_000 {
		p.SetEpoch(time.Unix(int64(i), 0))
	}
	<-done
	if got, want := p.window(0).name, int64(9999/60*60*time.Second); got != want {
		t.Errorf("window = %d, want %d", got, want)
	}
}

// A window that was worked out while the wall clock was set is not used after that.
func TestWindowOfOldEpoch(t *testing.T) {
	p := planOf(t, Limit{Burst: 10, Window: Fixed, Per: time.Minute})
	old := p.window(0)
	p.SetEpoch(time.Unix(3600, 0))
	p.open.Store(old)
	if got, want := p.window(0).name, int64(time.Hour); got != want {
		t.Errorf("window = %d, want %d", got, want)
	}
}
