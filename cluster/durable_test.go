package cluster

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/cluster/core"
	"github.com/noriahq/noria/ring"
)

// A keeper is a peer that answers what it is to keep as a test says.
type keeper struct {
	*scriptedPeer
	keep func(a *Ask, msg *core.Message)
}

func (k *keeper) Ask(a *Ask) {
	if a.Op == OpTell {
		if msg, err := core.ReadMessage(a.Body); err == nil && msg.Kind == core.Replicate {
			k.keep(a, msg)
			return
		}
	}
	k.scriptedPeer.Ask(a)
}

// failing keeps nothing because of err.
func failing(err error) func(*Ask, *core.Message) {
	return func(a *Ask, _ *core.Message) { a.Done(err) }
}

// silent says nothing for as long as it is waited for.
func silent(a *Ask, _ *core.Message) {
	go func() {
		time.Sleep(a.Wait)
		a.Done(ErrPeerSilent)
	}()
}

// stranger does not know who tells it something.
func stranger(a *Ask, _ *core.Message) {
	a.Answer = Answer{Status: Decided, Body: (&core.Reply{}).Append(nil)}
	a.Done(nil)
}

// over keeps nothing because somebody else holds it.
func over(a *Ask, msg *core.Message) {
	r := core.Reply{Known: true}
	for _, part := range msg.Parts {
		r.Over = append(r.Over, core.Place{Partition: part.Partition, Term: part.Term + 1, Holder: "c"})
	}
	a.Answer = Answer{Status: Decided, Body: r.Append(nil)}
	a.Done(nil)
}

// keptNode returns a node whose peers keep as keep does, and requests with the durability sync for keys that it holds.
func keptNode(t *testing.T, keep func(*Ask, *core.Message)) (*Node, []bucket.Request) {
	t.Helper()
	n, _, r := scriptedNode(t, func(to ring.Member, a *Ask) error { return decided(a, to) })
	for _, m := range n.view.Load().members {
		if p, ok := m.peer.(*scriptedPeer); ok {
			m.peer = &keeper{p, keep}
		}
	}
	r.Durability, r.Limit = bucket.Sync, bucket.Limit{Burst: 10} // nothing comes back meanwhile
	var reqs []bucket.Request
	for i := 0; len(reqs) < 5; i++ {
		r.Key = fmt.Sprintf("kept/%d", i)
		if place, err := n.Where(r.Key); err == nil && place.Holder == "a" {
			reqs = append(reqs, r)
		}
	}
	return n, reqs
}

// A sync check, alone or with others, is answered before its deadline, and when its context is canceled, whatever is the matter
// with who is to keep it.
func TestSyncKeepsItsDeadline(t *testing.T) {
	for name, keep := range map[string]func(*Ask, *core.Message){"lost": failing(ErrPeerLost), "silent": silent, "stranger": stranger} {
		for _, deadline := range []time.Duration{20 * time.Millisecond, 100 * time.Millisecond} {
			bubble.Test(t, func(t *testing.T) {
				n, reqs := keptNode(t, keep)
				for _, all := range [][]bucket.Request{reqs[:1], reqs[1:]} {
					ctx, cancel := context.WithTimeout(context.Background(), deadline)
					ds := make(bucket.Decisions, 1)
					var err error
					if len(all) == 1 {
						ds[0], err = n.Check(ctx, all[0])
					} else {
						ds, err = n.CheckAll(ctx, all)
					}
					if err != nil || ctx.Err() != nil || !ds[0].Degraded {
						t.Errorf("%s: %d checks with %v = %+v, %v; context: %v; want them degraded before the deadline", name, len(all), deadline, ds, err, ctx.Err())
					}
					cancel()
				}
				time.Sleep(time.Second)
			})
		}
	}
	bubble.Test(t, func(t *testing.T) {
		n, reqs := keptNode(t, silent)
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(10*time.Millisecond, cancel)
		began := time.Now()
		if d, err := n.Check(ctx, reqs[0]); err != nil || !d.Degraded || time.Since(began) != 10*time.Millisecond {
			t.Errorf("Check = %+v, %v after %v, want it degraded when it is canceled, after 10ms", d, err, time.Since(began))
		}
		time.Sleep(time.Second)
	})
}

// An answer to a peer waits PeerWait for a silent heir, a moment for one that has just been lost, and for nothing else; never
// longer than the peer does.
func TestAnswerDoesNotWait(t *testing.T) {
	for _, tt := range []struct {
		name        string
		keep        func(*Ask, *core.Message)
		wait        time.Duration // of the ask
		first, then time.Duration // that the first answer takes at most, and one later on
	}{
		{"lost", failing(ErrPeerLost), time.Second, goneWait + 2*pauseTold, 0},
		{"lost, short", failing(ErrPeerLost), 40 * time.Millisecond, 40 * time.Millisecond, 0},
		{"stranger", stranger, time.Second, moveWait, moveWait},
		{"stranger, short", stranger, 40 * time.Millisecond, 40 * time.Millisecond, 40 * time.Millisecond},
		{"silent", silent, time.Second, 50 * time.Millisecond, 50 * time.Millisecond},
		{"silent, short", silent, 40 * time.Millisecond, 40 * time.Millisecond, 40 * time.Millisecond},
		{"busy", failing(ErrPeerBusy), time.Second, 0, 0},
		{"refused", failing(ErrPeerRefused), time.Second, 0, 0},
		{"shut down", failing(ErrPeerShutdown), time.Second, 0, 0},
		{"held by another", over, time.Second, 2 * pauseTold, 0},
	} {
		bubble.Test(t, func(t *testing.T) {
			n, reqs := keptNode(t, tt.keep)
			for i, most := range []time.Duration{tt.first, tt.then} {
				var asks []Ask
				for _, r := range reqs[:2] {
					p := n.view.Load().table.Partition(ring.Hash(r.Key))
					asks = append(asks, Ask{Op: OpTake, Wait: tt.wait, Checks: []Check{{Partition: p, Request: r}}})
				}
				began := time.Now()
				n.Answer("b", asks)
				if took := time.Since(began); took > most {
					t.Errorf("%s: answer %d took %v, want at most %v", tt.name, i, took, most)
				}
				for _, a := range asks {
					if tt.name == "held by another" && i > 0 {
						break // it is not the holder any more
					}
					if a.Answer.Status != Decided || !a.Checks[0].Decision.Degraded {
						t.Errorf("%s: answer %d = %+v, %+v, want it degraded", tt.name, i, a.Answer, a.Checks[0].Decision)
					}
				}
				time.Sleep(goneWait + goneWait/4) // a loss is new no more
			}
		})
	}
}

// A loss that is new is waited out: the next heir keeps what was taken.
func TestNextHeirKeeps(t *testing.T) {
	for name, keep := range map[string]func(*Ask, *core.Message){"lost": failing(ErrPeerLost), "stranger": stranger} {
		bubble.Test(t, func(t *testing.T) {
			began := time.Now()
			n, reqs := keptNode(t, func(a *Ask, msg *core.Message) {
				if time.Since(began) < goneWait/2 {
					keep(a, msg)
					return
				}
				a.Done(listen(a))
			})
			if d, err := n.Check(context.Background(), reqs[0]); err != nil || d.Degraded || !d.Allowed {
				t.Errorf("%s: Check = %+v, %v, want it allowed as soon as there is an heir", name, d, err)
			}
			time.Sleep(time.Second)
		})
	}
}

// Who has been unreachable for long is not waited for.
func TestLostForLong(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n, _, r := scriptedNode(t, func(ring.Member, *Ask) error { return ErrPeerLost })
		check := func() time.Duration {
			began := time.Now()
			if d, err := n.Check(context.Background(), r); err != nil || !d.Degraded {
				t.Errorf("Check = %+v, %v, want it degraded", d, err)
			}
			return time.Since(began)
		}
		if check() == 0 {
			t.Error("a holder that just hung up was not waited for")
		}
		time.Sleep(2 * goneWait)
		if took := check(); took > 0 {
			t.Errorf("a check of who has been lost for long was degraded after %v, want at once", took)
		}
		time.Sleep(time.Second)
	})
}

// A check, alone or with others, waits goneWait in all for the heir of a holder whose process has ended.
func TestHeirOfTheEnded(t *testing.T) {
	refused := fmt.Errorf("%w: %w", ErrPeerLost, syscall.ECONNREFUSED)
	for _, tt := range []struct {
		comes    time.Duration
		degraded bool
	}{{goneWait / 2, false}, {goneWait * 3 / 4, false}, {goneWait + 10*time.Millisecond, true}} {
		for _, together := range []bool{false, true} {
			bubble.Test(t, func(t *testing.T) {
				var began time.Time
				n, _, r := scriptedNode(t, func(to ring.Member, a *Ask) error {
					if time.Since(began) < tt.comes {
						return refused
					}
					return decided(a, to)
				})
				began = time.Now()
				ds := make(bucket.Decisions, 1)
				var err error
				if together {
					ds, err = n.CheckAll(context.Background(), []bucket.Request{r})
				} else {
					ds[0], err = n.Check(context.Background(), r)
				}
				if took := time.Since(began); err != nil || ds[0].Degraded != tt.degraded || took > goneWait {
					t.Errorf("heir after %v, together %v: %+v, %v after %v, want degraded %v within %v", tt.comes, together, ds[0], err, took, tt.degraded, goneWait)
				}
				time.Sleep(time.Second)
			})
		}
	}
}

// living is a Transport at whose peers somebody lives.
type living struct {
	*scripted
	greeted int
}

func (l *living) Greet(context.Context, string) (Hello, error) {
	l.greeted++
	return Hello{}, nil
}

// Whoever hangs up all the time and lives is not greeted back to back.
func TestGreetsRest(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n, s, _ := scriptedNode(t, nil)
		l := &living{scripted: s}
		n.config.Transport = l
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		ended := make(chan error)
		go func() { ended <- n.suspect(ctx) }()
		for m := n.view.Load().member("b"); ctx.Err() == nil; time.Sleep(time.Millisecond) {
			n.failed(m, ErrPeerLost)
		}
		if err := <-ended; !errors.Is(err, context.DeadlineExceeded) || l.greeted == 0 || l.greeted > 10 {
			t.Errorf("%d greets in a second, %v; want 1 to 10", l.greeted, err)
		}
	})
}
