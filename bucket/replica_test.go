package bucket

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A replica applies what is told of a holder's changes. Late says that a later message came before.
type replica func(s *Store, c *Change, late bool) error

func ourReplica(s *Store, c *Change, late bool) error {
	if c.Replaces && !late {
		return s.Replace(0, c.Partition, []State{c.State})
	}
	return s.Import(0, c.Partition, []State{c.State})
}

// A loser says what becomes of a change whose message was lost.
type loser func(s *Store, c *Change)

func ourLoser(s *Store, c *Change) { s.Touch(c.Partition, c.Key, c.Replaces) }

// A retelling is what happens to a holder's bucket of 20 tokens, and to the messages about it.
type retelling struct {
	Steps []string
	Costs []int64
}

func retellings() *rapid.Generator[retelling] {
	return rapid.Custom(func(t *rapid.T) retelling {
		often := rapid.SampledFrom([]string{"take", "send", "deliver", "reset", "lose"})
		seldom := rapid.SampledFrom([]string{"hold", "refund", "charge", "other limit", "deliver late", "sweep", "freeze"})
		steps := rapid.OneOf(often, often, often, often, seldom)
		r := retelling{Steps: rapid.SliceOfN(steps, 1, 30).Draw(t, "steps")}
		r.Costs = rapid.SliceOfN(rapid.Int64Range(1, 9), len(r.Steps), len(r.Steps)).Draw(t, "costs")
		return r
	})
}

// A teller tells one.
type teller struct {
	holder, heir *Store
	apply        replica
	lose         loser
	limit        Limit
	holds        []Hold
	sent         []Change
	kept         []Change // that will be late
	late         bool     // some was
}

func (tr *teller) step(step string, cost int64) error {
	r := &Request{Key: "k", Limit: tr.limit, Cost: cost}
	var err error
	switch step {
	case "take":
		_, err = tr.holder.Take(0, 0, r)
	case "hold":
		var holds []Hold
		holds, err = tr.holder.TakeAll(0, []Item{{Request: r}}, true)
		tr.holds = append(tr.holds, holds...)
	case "refund":
		tr.holder.Refund(0, tr.holds)
		tr.holds = nil
	case "charge":
		err = tr.holder.Charge(0, 0, r)
	case "reset":
		err = tr.holder.Reset(0, "k")
	case "other limit":
		tr.limit.Burst ^= 1
	case "send":
		tr.sent = tr.holder.Changes(0, 10, tr.sent)
	case "sweep":
		tr.holder.Sweep(0, 1)
	case "freeze":
		tr.holder.Freeze(0)
		tr.holder.Hold(0)
		tr.holder.TouchAll(0)
		tr.late = true // it does not know any more that something was lowered
	default:
		err = tr.message(step)
	}
	return err
}

// message does something to the first message on its way.
func (tr *teller) message(step string) error {
	if len(tr.sent) == 0 {
		return nil
	}
	c := tr.sent[0]
	tr.sent = tr.sent[1:]
	switch step {
	case "deliver":
		return tr.apply(tr.heir, &c, false)
	case "deliver late":
		tr.kept, tr.late = append(tr.kept, c), true
	case "lose":
		tr.lose(tr.holder, &c)
		tr.late = tr.late || find(tr.holder, 0, "k") == nil // swept, so that it cannot be told again
	}
	return nil
}

// tell returns an error if in the end the replica owes less than the holder, or if no message was late, not the same.
func tell(r retelling, apply replica, lose loser) error {
	holder, err := NewStore(StoreConfig{Partitions: 1})
	if err != nil {
		return err
	}
	heir, err := NewStore(StoreConfig{Partitions: 1})
	if err != nil {
		return err
	}
	holder.Track(true)
	heir.Freeze(0)
	tr := &teller{holder: holder, heir: heir, apply: apply, lose: lose, limit: Limit{Burst: 20}}
	for i, step := range r.Steps {
		if err := tr.step(step, r.Costs[i]); err != nil {
			return err
		}
	}
	for tr.sent = holder.Changes(0, 10, tr.sent); len(tr.sent) > 0; {
		if err := tr.message("deliver"); err != nil {
			return err
		}
	}
	for i := range tr.kept {
		if err := apply(heir, &tr.kept[i], true); err != nil {
			return err
		}
	}
	want, _ := holder.State(0, 0, "k")
	got, _ := heir.State(0, 0, "k")
	if got.Debt < want.Debt || got.Debt != want.Debt && !tr.late {
		return fmt.Errorf("replica owes %d, its holder %d; late is %v", got.Debt, want.Debt, tr.late)
	}
	return nil
}

// A replica owes what its holder does once all messages came in order, and never less once all came in any order, if those
// that were lost are told again.
func TestReplica(t *testing.T) {
	checkMany(t, 10, func(t *rapid.T) {
		if err := tell(retellings().Draw(t, "retelling"), ourReplica, ourLoser); err != nil {
			t.Fatal(err)
		}
	})
}

// What is replaced owes what it is told to, which a replica of its own learns, and a hold of before gives nothing back.
func TestReplace(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 1})
	s.Track(true)
	l := Limit{Burst: 10}
	holds, err := s.TakeAll(0, []Item{{Request: &Request{Key: "k", Limit: l, Cost: 6}}}, true)
	if err != nil {
		t.Fatal(err)
	}
	s.Changes(0, 1, nil)
	st := State{Key: "k", Limit: l, Debt: 4}
	if err := s.Replace(0, 0, []State{st}); err != nil {
		t.Fatal(err)
	}
	s.Refund(0, holds)
	if got, want := s.Changes(0, 10, nil), (Change{State: st, Replaces: true}); len(got) != 1 || !cmp.Equal(got[0], want) {
		t.Errorf("Changes = %+v, want %+v", got, want)
	}
	if err := s.Replace(0, 1, nil); !errors.Is(err, ErrMoved) {
		t.Errorf("Replace in partition 1: %v, want ErrMoved", err)
	}
}

func TestReplicaFindsBugs(t *testing.T) {
	merge := func(s *Store, c *Change, _ bool) error { return s.Import(0, 0, []State{c.State}) }
	replace := func(s *Store, c *Change, _ bool) error { return s.Replace(0, 0, []State{c.State}) }
	for name, bug := range map[string]struct {
		apply replica
		lose  loser
	}{
		"never replaces":                      {merge, ourLoser},
		"replaces in any order":               {replace, ourLoser},
		"loses changes":                       {ourReplica, func(*Store, *Change) {}},
		"tells again without that it lowered": {ourReplica, func(s *Store, c *Change) { s.Touch(0, c.Key, false) }},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range 10_000 {
				if err := tell(retellings().Example(seed), bug.apply, bug.lose); err != nil {
					t.Logf("%+v: %v", retellings().Example(seed), err)
					return
				}
			}
			t.Error("no retelling tells")
		})
	}
}
