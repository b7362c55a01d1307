package chaos

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// cut cuts node off from those that s names, and notes that as a fault of the kind.
func (r *runner) cut(ctx context.Context, kind, node string, s Step) error {
	side, others := r.sides(node, s)
	fault := r.begin(kind, node)
	r.cuts = append(r.cuts, fault)
	small, large := r.holders(side), r.holders(others)
	if whole := len(side)+len(others) >= len(r.up); whole && !s.OneWay && large > small {
		r.set(fault, func(f *Fault) { f.Side = side })
	}
	err := r.sever(ctx, side, others, s.OneWay)
	r.set(fault, func(f *Fault) { f.Down = r.now() })
	way := "and"
	if s.OneWay {
		way = "to"
	}
	r.set(fault, func(f *Fault) {
		f.Note = fmt.Sprintf("%s %s %s", strings.Join(side, ", "), way, strings.Join(others, ", "))
	})
	return err
}

// holders returns how many of nodes hold keys: they decide which side of a cut goes on.
func (r *runner) holders(nodes []string) (count int) {
	for _, n := range nodes {
		if !r.plan.isGateway(n) {
			count++
		}
	}
	return count
}

// sides returns the nodes on node's side of a cut and those on the other.
func (r *runner) sides(node string, s Step) (side, others []string) {
	side = append([]string{node}, slices.DeleteFunc(slices.Clone(s.With), func(n string) bool { return n == node })...)
	others = s.To
	if len(others) == 0 {
		others = r.up
	}
	return side, slices.DeleteFunc(slices.Clone(others), func(n string) bool { return slices.Contains(side, n) })
}

// sever drops what goes from side to others, and the other way too unless oneWay.
func (r *runner) sever(ctx context.Context, side, others []string, oneWay bool) error {
	c := r.fleet.(Cutter) // the plan was checked
	for _, n := range side {
		for _, o := range others {
			if err := c.Cut(ctx, n, o); err != nil {
				return err
			}
			if oneWay {
				continue
			}
			if err := c.Cut(ctx, o, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// heal ends all cuts.
func (r *runner) heal(ctx context.Context) error {
	err := r.fleet.(Cutter).Heal(ctx) // the plan was checked
	for _, fault := range r.cuts {
		r.set(fault, func(f *Fault) { f.Over = r.now() })
	}
	r.cuts = nil
	return err
}

// flap cuts and heals again and again.
func (r *runner) flap(ctx context.Context, node string, s Step) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	r.act.Lock()
	side, others := r.sides(node, s)
	fault := r.begin(Flap, node)
	r.cuts = append(r.cuts, fault)
	r.act.Unlock()
	var wrong error
	for at := time.Duration(0); at < s.For && wrong == nil; at += s.Every {
		began := time.Now()
		wrong = r.locked(func() error { return r.sever(ctx, side, others, s.OneWay) })
		r.set(fault, func(f *Fault) {
			if f.Down == 0 {
				f.Down = r.now()
			}
		})
		awake := sleep(ctx, timer, s.Every/2)
		if err := r.locked(func() error { return r.fleet.(Cutter).Heal(context.WithoutCancel(ctx)) }); wrong == nil {
			wrong = err
		}
		if !awake || !sleep(ctx, timer, s.Every-time.Since(began)) {
			break
		}
	}
	r.act.Lock()
	defer r.act.Unlock()
	r.cuts = slices.DeleteFunc(r.cuts, func(f int) bool { return f == fault })
	r.done(fault, wrong)
}

// locked calls f while no other fault is carried out.
func (r *runner) locked(f func() error) error {
	r.act.Lock()
	defer r.act.Unlock()
	return f()
}
