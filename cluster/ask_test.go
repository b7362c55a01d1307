package cluster

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/noriahq/noria/cluster/clustertest/bubble"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/core"
	"github.com/noriahq/noria/cluster/gossip"
	"github.com/noriahq/noria/ring"
)

// scripted is a Transport whose peers answer as the test says.
type scripted struct {
	answer func(to ring.Member, a *Ask) error
	mu     sync.Mutex
	asked  []ring.Member // guarded by mu
}

func (s *scripted) Listen() (string, error)                             { return "127.0.0.1:1", nil }
func (s *scripted) Serve(ctx context.Context, _ Hello, _ Handler) error { <-ctx.Done(); return nil }
func (s *scripted) Greet(context.Context, string) (Hello, error)        { return Hello{}, ErrPeerLost }
func (s *scripted) Close() error                                        { return nil }
func (s *scripted) Peer(id ring.Member, _ string) Peer                  { return &scriptedPeer{s, id} }

type scriptedPeer struct {
	*scripted
	id ring.Member
}

func (p *scriptedPeer) Back()  {}
func (p *scriptedPeer) Close() {}

// asks returns how often peers were asked, for tests in which several goroutines ask.
func (s *scripted) asks() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

func (p *scriptedPeer) Ask(a *Ask) {
	if a.Op == OpTell {
		a.Done(listen(a))
		return
	}
	p.mu.Lock()
	p.asked = append(p.asked, p.id)
	p.mu.Unlock()
	a.Done(p.answer(p.id, a))
}

// scriptedNode returns a node "a" that takes a to e for members, and a key that it takes b for the holder of.
func scriptedNode(t *testing.T, answer func(to ring.Member, a *Ask) error) (*Node, *scripted, bucket.Request) {
	t.Helper()
	s := &scripted{answer: answer}
	n, err := New(Config{Name: "a", Transport: s, MoveRate: 1 << 30, Ring: ring.Params{Partitions: 1024}})
	if err != nil {
		t.Fatal(err)
	}
	var members []gossip.Member
	for _, id := range []ring.Member{"a", "b", "c", "d", "e"} {
		members = append(members, gossip.Member{ID: id, Peer: string(id) + ":1", Gossip: string(id) + ":2"})
	}
	for _, set := range [][]gossip.Member{members[:1], members} { // it starts alone, and so holds all
		if err := n.follow(set, nil); err != nil {
			t.Fatal(err)
		}
	}
	claimAll(t, n)
	l, err := bucket.ParseLimit("10/s")
	if err != nil {
		t.Fatal(err)
	}
	r := bucket.Request{Limit: l, Cost: 1, OnLost: bucket.Deny}
	for i := 0; ; i++ {
		r.Key = fmt.Sprintf("key/%d", i)
		if place, err := n.Where(r.Key); err == nil && place.Holder == "b" {
			return n, s, r
		}
	}
}

// listen answers what a core tells: there is nothing here, and what is handed over is taken.
func listen(a *Ask) error {
	msg, err := core.ReadMessage(a.Body)
	if err != nil {
		return err
	}
	r := core.Reply{Known: true}
	for _, p := range msg.Wanted {
		r.Places = append(r.Places, core.Place{Partition: p})
	}
	for i := range msg.Parts {
		r.Taken = append(r.Taken, msg.Parts[i].Partition)
	}
	a.Answer = Answer{Status: Decided, Body: r.Append(nil)}
	return nil
}

// claimAll makes all members but n itself claim what they should hold, and returns when they have it. Who is slow to claim, as on a
// machine with much else to do, finds a node that has not heard the others for long and gives nothing away: so it beats, and they
// claim again.
func claimAll(t testing.TB, n *Node) {
	t.Helper()
	table := n.view.Load().table
	self, _ := table.Index(n.name)
	held := func() int {
		n.holding.mu.Lock()
		defer n.holding.mu.Unlock()
		return n.core.Has()
	}
	const rounds = 1000
	for round := range uint64(rounds) {
		if round > 0 {
			n.step((*core.Core).Tick)
		}
		for i, id := range table.Members() {
			if id == n.name {
				continue
			}
			msg := &core.Message{Kind: core.Claim, Round: round + 1}
			for p := range ring.Partition(n.core.Partitions) {
				if table.TargetIndex(p) == i {
					msg.Wanted = append(msg.Wanted, p)
				}
			}
			n.step(func(c *core.Core, now bucket.Instant) { c.Tell(now, id, msg) })
		}
		for range 10_000 {
			if held() <= table.Count(self) {
				return
			}
			runtime.Gosched()
		}
	}
	t.Fatalf("%d partitions are here still, want %d: is MoveRate too low for a node that nobody lets tick?", held(), table.Count(self))
}

func decided(a *Ask, by ring.Member) error {
	a.Answer = Answer{Status: Decided, Holder: by, Term: 3}
	for i := range a.Checks {
		a.Checks[i].Decision = bucket.Decision{Allowed: true, Remaining: 5}
	}
	return nil
}

// A check follows two redirects, and then begins anew by what it has learned, until PeerWait ends.
func TestRedirects(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		next := map[ring.Member]ring.Member{"b": "c", "c": "d", "d": "e", "e": "b"}
		for _, tt := range []struct {
			holder   ring.Member
			asks     int
			degraded bool
		}{
			{"b", 1, false}, {"c", 2, false}, {"d", 3, false}, {"e", 4, false}, {"nobody", 3, true},
		} {
			n, s, r := scriptedNode(t, func(to ring.Member, a *Ask) error {
				if a.Hop > maxRedirects {
					t.Errorf("hop %d, want at most %d", a.Hop, maxRedirects)
				}
				if to == tt.holder {
					return decided(a, to)
				}
				a.Answer = Answer{Status: NotHolder, Holder: next[to], Term: 9}
				return nil
			})
			d, err := n.Check(context.Background(), r)
			if err != nil || d.Degraded != tt.degraded || len(s.asked) < tt.asks || !d.Degraded && len(s.asked) > tt.asks {
				t.Errorf("holder %s: Check = %+v, %v after asking %v, want degraded %v after %d asks", tt.holder, d, err, s.asked, tt.degraded, tt.asks)
			}
			if !tt.degraded && d.Node != string(tt.holder) {
				t.Errorf("Check answered by %s, want %s", d.Node, tt.holder)
			}
		}
	})
}

// A redirect to this node itself, to the one that gave it, or to nobody known leads nowhere: the check asks again until
// PeerWait ends.
func TestRedirectsToNowhere(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		for _, hint := range []ring.Member{"a", "b", "", "stranger"} {
			n, s, r := scriptedNode(t, func(_ ring.Member, a *Ask) error {
				a.Answer = Answer{Status: NotHolder, Holder: hint}
				return nil
			})
			d, err := n.Check(context.Background(), r)
			if err != nil || !d.Degraded || d.Allowed || len(s.asked) == 0 {
				t.Errorf("hint %q: Check = %+v, %v after asking %v, want it denied and degraded", hint, d, err, s.asked)
			}
		}
	})
}

// A check whose stream breaks is sent again only if it has an id, and then once.
func TestSentAgain(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			id   string
			err  error
			asks int
		}{
			{"", ErrPeerLost, 1}, {"order-7", ErrPeerLost, 2}, {"order-7", ErrPeerSilent, 1}, {"order-7", ErrPeerBusy, 1},
		} {
			n, s, r := scriptedNode(t, func(ring.Member, *Ask) error { return tt.err })
			r.ID = tt.id
			d, err := n.Check(context.Background(), r)
			if err != nil || !d.Degraded || len(s.asked) != tt.asks {
				t.Errorf("id %q, %v: Check = %+v, %v after %d asks, want it degraded after %d", tt.id, tt.err, d, err, len(s.asked), tt.asks)
			}
		}
	})
}

// What the holder calls wrong is an error, and nobody else is asked.
func TestInvalidAsk(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n, s, r := scriptedNode(t, func(_ ring.Member, a *Ask) error {
			a.Answer = Answer{Status: Invalid, Reason: "the moon is full"}
			return nil
		})
		if d, err := n.Check(context.Background(), r); !errors.Is(err, ErrAskInvalid) || len(s.asked) != 1 {
			t.Errorf("Check = %+v, %v after %d asks, want ErrAskInvalid after one", d, err, len(s.asked))
		}
	})
}

// A peer that asks for nothing, too much, or partitions that do not exist is told so.
func TestAnswerToBadAsks(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n, _, r := scriptedNode(t, nil)
		good := Check{Request: r}
		far := Check{Partition: 16384, Request: r}
		for _, checks := range [][]Check{nil, {far}, {good, far}, make([]Check, MaxChecks+1)} {
			asks := []Ask{{Op: OpTake, Checks: checks}}
			n.Answer("b", asks)
			if got := asks[0].Answer; got.Status != Invalid || got.Reason == "" {
				t.Errorf("answer to %d checks = %+v, want Invalid with a reason", len(checks), got)
			}
		}
		mine := Check{Request: r}
		for n.view.Load().table.TargetIndex(mine.Partition) != 0 {
			mine.Partition++
		}
		asks := []Ask{{Op: 99, Checks: []Check{mine}}}
		n.Answer("b", asks)
		if got := asks[0].Answer; got.Status != Invalid {
			t.Errorf("answer to operation 99 = %+v, want Invalid", got)
		}
	})
}

// What is given back before it came is not taken any more, and what is given back twice is given once.
func TestGivenBackBeforeItCame(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n, _, r := scriptedNode(t, nil)
		c := Check{Request: r}
		for n.view.Load().table.TargetIndex(c.Partition) != 0 {
			c.Partition++
		}
		do := func(op Op, hold uint64) AnswerStatus {
			asks := []Ask{{Op: op, Hold: hold, Checks: []Check{c}}}
			n.Answer("b", asks)
			return asks[0].Answer.Status
		}
		level := func() int64 {
			peek := c.Request
			peek.Cost = 0
			d, err := n.store.Take(0, int(c.Partition), &peek)
			if err != nil {
				t.Fatal(err)
			}
			return d.Remaining
		}
		if do(OpRefund, 1); do(OpTake, 1) != Invalid || level() != 10 {
			t.Errorf("take after its refund left %d, want it refused and 10 left", level())
		}
		do(OpTake, 2)
		do(OpTake, 3)
		do(OpRefund, 2)
		if do(OpRefund, 2); level() != 9 {
			t.Errorf("two takes and one refund, twice, left %d, want 9", level())
		}
	})
}

// A check of a key that is held here allocates nothing.
func TestCheckHereAllocatesNothing(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n, _, r := scriptedNode(t, nil)
		for i := 0; ; i++ {
			r.Key = fmt.Sprintf("key/%d", i)
			if place, err := n.Where(r.Key); err == nil && place.Holder == "a" {
				break
			}
		}
		ctx := context.Background()
		if got := testing.AllocsPerRun(1000, func() {
			if _, err := n.Check(ctx, r); err != nil {
				t.Fatal(err)
			}
		}); got != 0 {
			t.Errorf("Check of a key held here: %v allocations, want 0", got)
		}
	})
}

// A holder of an older version does not know what it is asked for, says so by a number that it does not have, and stays a holder.
func TestGiveBackAtOld(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n, _, r := scriptedNode(t, func(to ring.Member, a *Ask) error {
			if a.Op != OpGive {
				return decided(a, to)
			}
			a.Answer = Answer{Status: Invalid, Reason: "op is 9, which is unknown"}
			return nil
		})
		if _, err := n.GiveBack(context.Background(), r); !errors.Is(err, ErrOld) || !errors.Is(err, ErrAskInvalid) {
			t.Errorf("GiveBack = %v, want ErrOld", err)
		}
		if d, err := n.Check(context.Background(), r); err != nil || d.Degraded {
			t.Errorf("Check afterwards = %+v, %v", d, err)
		}
		time.Sleep(time.Second)
	})
}
