package cluster

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/ring"
)

// A check, alone or with others, waits PeerWait for a holder of which nothing is heard and half a second for one that is
// slow, but leaves time to answer before its deadline.
func TestPatience(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const wait = 50 * time.Millisecond
		for _, tt := range []struct{ deadline, wait, most time.Duration }{
			{time.Minute, wait, moveWait},
			{400 * time.Millisecond, wait, 350 * time.Millisecond},
			{40 * time.Millisecond, 35 * time.Millisecond, 35 * time.Millisecond},
		} {
			n, s, r := scriptedNode(t, func(to ring.Member, a *Ask) error {
				if a.Wait != tt.wait || a.Most != tt.most {
					t.Errorf("with %v left the peer was given Wait %v and Most %v, want %v and %v", tt.deadline, a.Wait, a.Most, tt.wait, tt.most)
				}
				return decided(a, to)
			})
			ctx, cancel := context.WithTimeout(context.Background(), tt.deadline)
			if _, err := n.Check(ctx, r); err != nil {
				t.Errorf("Check: %v", err)
			}
			if _, err := n.CheckAll(ctx, []bucket.Request{r}); err != nil {
				t.Errorf("CheckAll: %v", err)
			}
			cancel()
			if len(s.asked) != 2 {
				t.Errorf("%d asks, want 2", len(s.asked))
			}
		}
	})
}

// A holder that was slow to say that it is not the holder any more leaves PeerWait for whom it names, up to half a second in
// all.
func TestSlowRedirect(t *testing.T) {
	for _, tt := range []struct {
		takes    time.Duration
		asked    int
		wait     time.Duration // that the next one is given
		degraded bool
	}{
		{200 * time.Millisecond, 2, 50 * time.Millisecond, false},
		{480 * time.Millisecond, 2, 20 * time.Millisecond, false},
		{moveWait, 1, 0, true},
	} {
		bubble.Test(t, func(t *testing.T) {
			n, s, r := scriptedNode(t, func(to ring.Member, a *Ask) error {
				if to == "c" {
					if a.Wait != tt.wait || a.Most != moveWait-tt.takes {
						t.Errorf("after %v the next one was given Wait %v and Most %v, want %v and %v", tt.takes, a.Wait, a.Most, tt.wait, moveWait-tt.takes)
					}
					return decided(a, to)
				}
				time.Sleep(tt.takes)
				a.Answer = Answer{Status: NotHolder, Holder: "c", Term: 9}
				return nil
			})
			d, err := n.Check(context.Background(), r)
			if err != nil || d.Degraded != tt.degraded || len(s.asked) != tt.asked {
				t.Errorf("first answer after %v: Check = %+v, %v after asking %v, want degraded %v after %d asks", tt.takes, d, err, s.asked, tt.degraded, tt.asked)
			}
		})
	}
}

// Attempts at an all-or-nothing check share the half second.
func TestSlowAttempts(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n, _, r := scriptedNode(t, func(ring.Member, *Ask) error { return nil })
		script := n.config.Transport.(*scripted)
		script.answer = func(to ring.Member, a *Ask) error {
			if most := max(a.Wait, a.Most); most < 200*time.Millisecond {
				time.Sleep(most)
				return ErrPeerSilent
			}
			time.Sleep(200 * time.Millisecond)
			a.Answer = Answer{Status: NotHolder, Holder: to, Term: 9}
			return nil
		}
		began := time.Now()
		ds, err := n.CheckAll(context.Background(), []bucket.Request{r})
		if took := time.Since(began); err != nil && !errors.Is(err, context.DeadlineExceeded) || ds.Allowed() || took > moveWait+n.config.PeerWait {
			t.Errorf("CheckAll = %+v, %v after %v, want it denied by on_lost within %v", ds, err, took, moveWait+n.config.PeerWait)
		}
	})
}
