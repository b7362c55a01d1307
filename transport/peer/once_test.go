package peer

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/ring"
)

// story is what happens to two nodes, drawn before it happens.
type story struct {
	buffer int // of asks
	steps  []step
}

type step struct {
	what  string
	wait  time.Duration // of the asks of this step, and the pause after it
	most  time.Duration // of the asks of this step
	count int           // asks
	key   int           // bytes of their keys
}

var happenings = []string{
	"ask", "ask", "ask", "ask", "ask", "pause", "pause", "freeze", "thaw", "thaw", "cut", "kill", "start", "start", "deaf", "hear",
	"back", "slow", "refuse", "welcome", "close", "new",
}

func drawStory(t *rapid.T) story {
	s := story{buffer: rapid.SampledFrom([]int{1, 8, 64, 8192}).Draw(t, "queue")}
	for range rapid.IntRange(1, 40).Draw(t, "steps") {
		s.steps = append(s.steps, step{
			what:  rapid.SampledFrom(happenings).Draw(t, "what"),
			wait:  time.Duration(rapid.SampledFrom([]int{1, 3, 10, 50, 100, 101, 2000}).Draw(t, "wait")) * time.Millisecond,
			most:  time.Duration(rapid.SampledFrom([]int{0, 2, 55, 500}).Draw(t, "most")) * time.Millisecond,
			count: rapid.SampledFrom([]int{1, 2, 10, 100}).Draw(t, "asks"),
			key:   rapid.SampledFrom([]int{20, 512}).Draw(t, "key"),
		})
	}
	return s
}

// teller tells a story and notes what broke.
type teller struct {
	*fleet
	asked  int
	slow   atomic.Bool
	refuse atomic.Bool
	wg     sync.WaitGroup
	asks   []*cluster.Ask
	dones  []*atomic.Int32

	owner sync.Mutex // of asks that are done

	mu    sync.Mutex
	seen  map[string]int // guarded by mu; how often b was asked each key
	flaws []string       // guarded by mu
}

func (s *teller) flaw(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flaws = append(s.flaws, fmt.Sprintf(format, args...))
}

func (s *teller) handler() cluster.Handler {
	return handler{
		hello: func(h cluster.Hello) error {
			if s.refuse.Load() {
				return errors.New("not now")
			}
			return nil
		},
		answer: func(_ ring.Member, asks []cluster.Ask) {
			if s.slow.Load() {
				time.Sleep(20 * time.Millisecond)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			for i := range asks {
				s.seen[strings.Clone(asks[i].Checks[0].Request.Key)]++
			}
		},
	}
}

// Every ask is done exactly once, by its Wait or Most, with an error that the contract knows, and was put to the peer at most
// once, whatever happens to the network, the peer, and the node itself.
func TestExactlyOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := drawStory(rt)
		var flaws []string
		bubble.Test(t, func(t *testing.T) { flaws = tell(t, s, nil) })
		if len(flaws) > 0 {
			rt.Fatalf("%d flaws, the first: %s", len(flaws), flaws[0])
		}
	})
}

// tell tells s and returns what broke. plant, if it is not nil, puts a bug into the peer before.
func tell(t *testing.T, s story, plant func(*teller)) []string {
	w := &teller{seen: map[string]int{}}
	w.fleet = newFleet(t, Config{MaxQueue: s.buffer}, w.handler())
	if plant != nil {
		plant(w)
	}
	for _, step := range s.steps {
		w.happen(step)
	}
	if len(s.steps)%2 == 0 { // else close under load
		time.Sleep(3 * time.Second)
	}
	w.host.thaw()
	w.a.Close()
	w.wg.Wait()
	w.b.Close()
	for i, n := range w.dones {
		if got := n.Load(); got != 1 || len(w.asks[i].Finished()) > 0 {
			w.flaw("ask %d was done %d times", i, int(got)+len(w.asks[i].Finished()))
		}
	}
	for key, n := range w.seen {
		if n != 1 {
			w.flaw("%.8s was asked %d times", key, n)
		}
	}
	return w.flaws
}

func (s *teller) happen(x step) {
	switch x.what {
	case "ask":
		for range x.count {
			s.askOne(x)
		}
	case "pause":
		time.Sleep(x.wait)
	case "freeze":
		s.host.freeze()
	case "thaw":
		s.host.thaw()
	case "cut":
		s.host.cut()
	case "kill":
		s.kill()
	case "start":
		s.kill()
		s.start(s.handler())
	case "deaf", "hear":
		s.host.setDeaf(x.what == "deaf")
	case "back":
		s.peer.Back()
	case "slow":
		s.slow.Store(!s.slow.Load())
	case "refuse", "welcome":
		s.refuse.Store(x.what == "refuse")
	case "close":
		s.peer.Close()
	case "new":
		s.peer = s.a.Peer("b", "b")
	}
	if x.wait%2 == 0 {
		time.Sleep(x.wait / 10)
	}
}

var known = []error{
	nil, cluster.ErrPeerLost, cluster.ErrPeerSilent, cluster.ErrPeerBusy, cluster.ErrPeerRefused, cluster.ErrPeerShutdown,
}

// askOne asks and, once the ask is done, does with it what its owner may.
func (s *teller) askOne(x step) {
	a := newAsk(fmt.Sprintf("%08d", s.asked)+strings.Repeat("k", x.key-8), x.wait)
	a.Most = x.most
	done := new(atomic.Int32)
	s.asked++
	s.asks, s.dones = append(s.asks, a), append(s.dones, done)
	start := time.Now()
	s.peer.Ask(a)
	s.wg.Go(func() {
		<-a.Finished()
		done.Add(1)
		if took := time.Since(start); took > max(x.wait, x.most)+tick {
			s.flaw("an ask with Wait %v and Most %v was done after %v", x.wait, x.most, took)
		}
		if !isKnown(a.Err) {
			s.flaw("an ask ended with %v", a.Err)
		}
		if a.Err == nil && (a.Answer.Holder != "b" || !a.Checks[0].Decision.Allowed) {
			s.flaw("an ask without an error has the answer %+v", a.Answer)
		}
		// It is ours again: the race detector tells if anybody else still touches it.
		s.owner.Lock()
		defer s.owner.Unlock()
		a.Checks[0].Request.Key = "mine"
		a.Answer, a.Wait, a.Most, a.Err = cluster.Answer{}, 0, 0, nil
	})
}

func isKnown(err error) bool {
	for _, k := range known {
		if errors.Is(err, k) {
			return true
		}
	}
	return false
}

// What TestExactlyOnce looks for it finds.
func TestExactlyOnceFinds(t *testing.T) {
	for name, bug := range map[string]func(*teller, cluster.Peer, *cluster.Ask){
		"done 2 times": func(w *teller, _ cluster.Peer, a *cluster.Ask) {
			a.Done(cluster.ErrPeerLost)
			time.AfterFunc(time.Second, func() {
				w.owner.Lock() // so that it is no data race, which would be found as well
				defer w.owner.Unlock()
				a.Done(cluster.ErrPeerLost)
			})
		},
		"was done after": func(_ *teller, _ cluster.Peer, a *cluster.Ask) {
			time.AfterFunc(a.Wait+2*tick, func() { a.Done(cluster.ErrPeerSilent) })
		},
		"ended with": func(_ *teller, _ cluster.Peer, a *cluster.Ask) { a.Done(errors.New("some error")) },
		"was asked 2 times": func(_ *teller, p cluster.Peer, a *cluster.Ask) {
			p.Ask(newAsk(a.Checks[0].Request.Key, a.Wait))
			p.Ask(a)
		},
		"has the answer": func(_ *teller, _ cluster.Peer, a *cluster.Ask) { a.Done(nil) },
	} {
		bubble.Test(t, func(t *testing.T) {
			s := story{buffer: 10, steps: []step{{what: "ask", wait: time.Second, count: 2, key: 20}, {what: "pause"}}}
			flaws := tell(t, s, func(w *teller) { w.peer = planted{w.peer, w, bug} })
			if len(flaws) == 0 || !strings.Contains(flaws[0], name) {
				t.Errorf("the flaws of a peer that does it wrong are %q, want %q", flaws, name)
			}
		})
	}
}

// planted is a peer with a bug.
type planted struct {
	cluster.Peer
	w   *teller
	bug func(*teller, cluster.Peer, *cluster.Ask)
}

func (p planted) Ask(a *cluster.Ask) { p.bug(p.w, p.Peer, a) }
