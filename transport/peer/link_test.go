package peer

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/ring"
)

// Everything that an ask says arrives, and so does everything that is answered.
func TestRoundTrip(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var got []cluster.Ask
		decision := bucket.Decision{
			Allowed: true, Degraded: true, Source: bucket.FromLease, Remaining: 5,
			RetryAfter: bucket.Never, ResetAfter: 3 * time.Second, Delay: time.Millisecond,
		}
		f := newFleet(t, Config{}, handler{answer: func(from ring.Member, asks []cluster.Ask) {
			if from != "a" {
				t.Errorf("asked by %q, want a", from)
			}
			got = append(got, cloneAsk(&asks[0]))
			asks[0].Answer = cluster.Answer{Holder: "b", Term: 9, Epoch: 77}
			asks[0].Checks[0].Decision = decision
			asks[0].Checks[1].Decision = bucket.Decision{Node: "c"}
		}})
		a := newAsk("k", time.Second)
		a.Epoch, a.Holder, a.Hop, a.Hold = 1<<63, "z", 2, 1<<40
		a.Checks[0].Request.OnLost, a.Checks[0].Request.Durability = bucket.Allow, bucket.Sync
		a.Checks = append(a.Checks, cluster.Check{Partition: 65535, Term: 8, Request: bucket.Request{
			Key: strings.Repeat("ü", 256), ID: "id", ColdStart: bucket.Empty,
			Limit: bucket.Limit{Burst: 1e9, Window: bucket.Month, Zone: "Asia/Tokyo"},
		}})
		want := cloneAsk(a)
		if _, err := f.ask(a); err != nil {
			t.Fatalf("Ask: %v", err)
		}
		if got[0].Wait <= 0 || got[0].Wait > time.Second {
			t.Errorf("the peer was told to answer within %v, want at most 1s", got[0].Wait)
		}
		got[0].Wait = want.Wait
		if diff := cmp.Diff(got[0], want, ignoreDone, ignoreAnswers); diff != "" {
			t.Errorf("the peer was asked (-got +want):\n%s", diff)
		}
		decision.Node = "b"
		wantDecisions := []bucket.Decision{decision, {Node: "c"}}
		if diff := cmp.Diff([]bucket.Decision{a.Checks[0].Decision, a.Checks[1].Decision}, wantDecisions); diff != "" {
			t.Errorf("decisions (-got +want):\n%s", diff)
		}
		if diff := cmp.Diff(a.Answer, cluster.Answer{Holder: "b", Term: 9, Epoch: 77}); diff != "" {
			t.Errorf("answer (-got +want):\n%s", diff)
		}
	})
}

// NotHolder and Invalid arrive as they were said, and have no decisions.
func TestOtherAnswers(t *testing.T) {
	for _, want := range []cluster.Answer{
		{Status: cluster.NotHolder, Holder: "c", Term: 4, Epoch: 5},
		{Status: cluster.NotHolder, Holder: "b"},
		{Status: cluster.NotHolder},
		{Status: cluster.Invalid, Reason: "bad limit"},
	} {
		bubble.Test(t, func(t *testing.T) {
			f := newFleet(t, Config{}, handler{answer: func(_ ring.Member, asks []cluster.Ask) { asks[0].Answer = want }})
			a := newAsk("k", time.Second)
			if _, err := f.ask(a); err != nil {
				t.Fatalf("Ask: %v", err)
			}
			if diff := cmp.Diff(a.Answer, want); diff != "" {
				t.Errorf("answer (-got +want):\n%s", diff)
			}
		})
	}
}

// A refund and a reset are answered without decisions.
func TestOps(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t, Config{}, everyone{})
		for _, op := range []cluster.Op{cluster.OpRefund, cluster.OpReset} {
			a := newAsk("k", time.Second)
			a.Op, a.Checks[0].Decision = op, bucket.Decision{Remaining: 42}
			if _, err := f.ask(a); err != nil {
				t.Fatalf("Ask with op %d: %v", op, err)
			}
			if got := a.Checks[0].Decision.Remaining; got != 42 {
				t.Errorf("op %d: decision was overwritten: Remaining %d, want 42", op, got)
			}
		}
	})
}

// An ask that no peer would accept ends without being sent.
func TestAskInvalid(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t, Config{}, everyone{})
		for name, spoil := range map[string]func(*cluster.Ask){
			"no checks": func(a *cluster.Ask) { a.Checks = nil },
			"too many":  func(a *cluster.Ask) { a.Checks = make([]cluster.Check, cluster.MaxChecks+1) },
			"long key":  func(a *cluster.Ask) { a.Checks[0].Request.Key = strings.Repeat("k", 513) },
			"long id":   func(a *cluster.Ask) { a.Checks[0].Request.ID = strings.Repeat("k", 65) },
			"a body":    func(a *cluster.Ask) { a.Body = []byte("b") },
			"no body":   func(a *cluster.Ask) { a.Op, a.Checks = cluster.OpTell, nil },
			"both":      func(a *cluster.Ask) { a.Op, a.Body = cluster.OpTell, []byte("b") },
			"long body": func(a *cluster.Ask) {
				a.Op, a.Checks, a.Body = cluster.OpTell, nil, make([]byte, cluster.MaxBody+1)
			},
			"long zone": func(a *cluster.Ask) { a.Checks[0].Request.Limit.Zone = strings.Repeat("k", 65) },
		} {
			a := newAsk("k", time.Second)
			spoil(a)
			if _, err := f.ask(a); !errors.Is(err, cluster.ErrAskInvalid) {
				t.Errorf("Ask with %s: %v, want ErrAskInvalid", name, err)
			}
		}
		a := newAsk("k", 0)
		if _, err := f.ask(a); !errors.Is(err, cluster.ErrPeerSilent) {
			t.Errorf("Ask with Wait 0: %v, want ErrPeerSilent", err)
		}
		if got := f.a.Stats().Asks; got != 0 {
			t.Errorf("%d asks were sent, want none", got)
		}
	})
}

// Many who ask at the same time share messages.
func TestBatching(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t, Config{}, everyone{})
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				a := newAsk(fmt.Sprint(i), time.Second)
				for range 100 {
					if _, err := f.ask(a); err != nil {
						t.Errorf("Ask: %v", err)
					}
				}
			})
		}
		wg.Wait()
		s := f.a.Stats()
		if s.Asks != 6400 || s.Batches > s.Asks/8 {
			t.Errorf("%d asks in %d messages, want 6400 in at most 800", s.Asks, s.Batches)
		}
	})
}

// A message holds as many checks as it may, and asks with many checks get through beside others.
func TestLargeBatches(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var most atomic.Int64
		f := newFleet(t, Config{MaxBatch: 1024}, handler{answer: func(_ ring.Member, asks []cluster.Ask) {
			n := 0
			for i := range asks {
				n += len(asks[i].Checks)
			}
			most.Store(max(most.Load(), int64(n)))
		}})
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				a := newAsk("k", time.Second)
				key := strings.Repeat("k", bucket.MaxKey)
				for range 255 {
					a.Checks = append(a.Checks, cluster.Check{Request: bucket.Request{Key: key}})
				}
				if _, err := f.ask(a); err != nil {
					t.Errorf("Ask: %v", err)
				}
			})
		}
		wg.Wait()
		if got := most.Load(); got != 1024 {
			t.Errorf("the largest message had %d checks, want 1024", got)
		}
	})
}

// The largest ask there may be gets through, and so does its answer.
func TestLargestAsk(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t, Config{}, handler{answer: func(_ ring.Member, asks []cluster.Ask) {
			for i := range asks[0].Checks {
				asks[0].Checks[i].Decision = bucket.Decision{
					Allowed: true, Degraded: true, Source: bucket.FromDegraded, Remaining: 1 << 62, RetryAfter: bucket.Never,
					ResetAfter: bucket.Never, Delay: bucket.Never, Node: strings.Repeat("n", maxName),
				}
			}
		}})
		a := newAsk("k", time.Second)
		a.Checks = nil
		for range cluster.MaxChecks {
			a.Checks = append(a.Checks, cluster.Check{Partition: 65535, Term: 1 << 63, Request: bucket.Request{
				Key: strings.Repeat("k", bucket.MaxKey), ID: strings.Repeat("i", bucket.MaxID), Cost: bucket.MaxCost,
				Limit: bucket.Limit{Tokens: -1, Per: -1, Burst: -1, Queue: -1, Window: bucket.Year, Zone: strings.Repeat("z", maxZone)},
			}})
		}
		if size, err := measure(a); err != nil || size > maxMessage {
			t.Fatalf("measure: %d bytes, %v, want at most %d", size, err, maxMessage)
		}
		if _, err := f.ask(a); err != nil {
			t.Errorf("Ask: %v", err)
		}
	})
}

// A queue that is full ends asks at once.
func TestFullQueue(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t, Config{MaxQueue: 10}, everyone{})
		f.ask(newAsk("k", time.Second))
		f.host.freeze()
		busy := 0
		for range 10 + 1 + 5 { // b is near: one batch is under way
			a := newAsk("k", time.Second)
			f.peer.Ask(a)
			synctest.Wait()
			select {
			case <-a.Finished():
				if busy++; !errors.Is(a.Err, cluster.ErrPeerBusy) {
					t.Errorf("Ask with a full queue: %v, want ErrPeerBusy", a.Err)
				}
			default:
			}
		}
		if busy != 5 {
			t.Errorf("%d asks found the queue full, want 5", busy)
		}
		if got := f.a.Stats().Peers[0].Queue; got != 10 {
			t.Errorf("Stats: %d asks are queued, want 10", got)
		}
		f.host.thaw()
	})
}

// Nodes that do not fit each other are told so, whoever of the two sees it, and speak once they do.
func TestRefused(t *testing.T) {
	for name, who := range map[string]ring.Member{"by the peer": "a", "by the asker": "b"} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				var fits atomic.Bool
				hello := func(h cluster.Hello) error {
					if h.ID == who && !fits.Load() {
						return errors.New("other ring parameters: 1024/64, want 16384/512")
					}
					return nil
				}
				n := newNetwork()
				var asker *Transport
				for _, id := range []ring.Member{"a", "b"} {
					tr := mustNew(t, Config{Listener: n.listen(string(id), 1<<16), Dialer: n.dial})
					serve(t, tr, id, handler{hello: hello})
					defer tr.Close()
					if id == "a" {
						asker = tr
					}
				}
				checkRefused(t, asker.Peer("b", "b"), &fits)
			})
		})
	}
}

func checkRefused(t *testing.T, p cluster.Peer, fits *atomic.Bool) {
	t.Helper()
	f := &fleet{peer: p}
	for range 5 {
		_, err := f.ask(newAsk("k", time.Second))
		if !errors.Is(err, cluster.ErrPeerRefused) || !strings.Contains(err.Error(), "other ring parameters: 1024/64") {
			t.Errorf("Ask: %v, want ErrPeerRefused with the reason", err)
		}
		time.Sleep(time.Second)
	}
	fits.Store(true)
	time.Sleep(2 * longPause)
	if _, err := f.ask(newAsk("k", time.Second)); err != nil {
		t.Errorf("Ask once they fit: %v", err)
	}
}

// An address that another node has now is not asked.
func TestOtherNode(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t, Config{}, everyone{})
		f.peer = f.a.Peer("c", "b")
		_, err := f.ask(newAsk("k", time.Second))
		if !errors.Is(err, cluster.ErrPeerRefused) || !strings.Contains(err.Error(), `the address of "b"`) {
			t.Errorf("Ask of c at b's address: %v, want ErrPeerRefused", err)
		}
	})
}

// A closed peer and a closed transport end what is under way, and what is asked later.
func TestCloseEnds(t *testing.T) {
	for name, test := range map[string]struct {
		close func(*fleet)
		want  error
	}{
		"peer":      {func(f *fleet) { f.peer.Close() }, cluster.ErrPeerLost},
		"transport": {func(f *fleet) { f.a.Close() }, cluster.ErrPeerShutdown},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				f := newFleet(t, Config{}, everyone{})
				f.ask(newAsk("k", time.Second))
				f.host.freeze()
				a := newAsk("k", time.Minute)
				f.peer.Ask(a)
				synctest.Wait()
				test.close(f)
				<-a.Finished()
				if !errors.Is(a.Err, test.want) {
					t.Errorf("ask under way: %v, want %v", a.Err, test.want)
				}
				for _, p := range []cluster.Peer{f.peer, f.a.Peer("b", "b")} {
					f.peer = p
					if _, err := f.ask(newAsk("k", time.Second)); name == "transport" && !errors.Is(err, test.want) {
						t.Errorf("later ask: %v, want %v", err, test.want)
					}
					p.Close()
					p.Close()
				}
			})
		})
	}
}

// Asks from before Serve wait for it.
func TestAskBeforeServe(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t, Config{}, everyone{})
		tr := mustNew(t, Config{Listener: f.net.listen("c", 1<<16), Dialer: f.net.dial})
		defer tr.Close()
		f.peer = tr.Peer("b", "b")
		a := newAsk("k", time.Second)
		f.peer.Ask(a)
		synctest.Wait()
		serve(t, tr, "c", everyone{})
		if <-a.Finished(); a.Err != nil {
			t.Errorf("Ask: %v", a.Err)
		}
	})
}

func cloneAsk(a *cluster.Ask) cluster.Ask {
	b := *a
	b.Holder = ring.Member(strings.Clone(string(a.Holder)))
	b.Checks = append([]cluster.Check(nil), a.Checks...)
	for i := range b.Checks {
		r := &b.Checks[i].Request
		r.Key, r.ID, r.Limit.Zone = strings.Clone(r.Key), strings.Clone(r.ID), strings.Clone(r.Limit.Zone)
	}
	return b
}

var (
	ignoreDone = cmp.FilterPath(func(p cmp.Path) bool {
		return p.Last().String() == ".done"
	}, cmp.Ignore())
	ignoreAnswers = cmp.FilterPath(func(p cmp.Path) bool {
		return p.Last().String() == ".Answer" || p.Last().String() == ".Decision"
	}, cmp.Ignore())
)
