package core

import (
	"fmt"
	"testing"
	"time"

	"github.com/noriahq/noria/cluster/cost"
)

// What the model of package cost says of a holder under a steady load is what cores do, at several sizes.
func TestCostSteady(t *testing.T) {
	if plantedMost == 0 {
		t.Skip("under the race detector it would take minutes, and finds the same without")
	}
	for _, f := range []cost.Fleet{
		{Holders: 3, Keys: 2000, Active: 2000, Checks: 3000},
		{Holders: 5, Keys: 500, Active: 500, Checks: 10_000},
		{Holders: 9, Keys: 5000, Active: 5000, Checks: 2000},
		{Holders: 3, Gateways: 6, Keys: 2000, Active: 2000, Checks: 3000},
		{Holders: 30, Keys: 3000, Active: 3000, Checks: 3000},
		{Holders: 30, Gateways: 70, Keys: 3000, Active: 3000, Checks: 9000},
	} {
		t.Run(fmt.Sprintf("%d and %d", f.Holders, f.Gateways), func(t *testing.T) {
			f.Partitions, f.KeyLen, f.NameLen = 1024, len("user:00000000"), len("node-000")
			l := newCostLab(t, f)
			l.load = f.Checks / float64(f.Holders)
			l.pass(time.Second)
			l.forget()
			const long = 4
			l.pass(long * time.Second)
			each := float64(f.Holders * long)
			near(t, "beats a holder and second", l.sent[Beat]/each, f.Beats()+f.Calls()*float64(f.Gateways)/float64(f.Holders))
			near(t, "changed keys a holder and tick", l.changes/each*cost.Tick.Seconds(), f.Changed())
			near(t, "replicas a holder and second", l.sent[Replicate]/each, f.Replicas())
			framed := l.bytes[Replicate]/each + l.sent[Replicate]/each*cost.WrapBytes
			near(t, "bytes of replicas a holder and second", framed, f.ReplicaBytes())
			beats := l.bytes[Beat]/each + l.sent[Beat]/each*cost.WrapBytes
			near(t, "bytes of beats a holder and second", beats, (f.BeatBytes()+f.Calls()*float64(f.Gateways)/float64(f.Holders)*(cost.TellBytes+cost.AnsweredBytes))/2)
			for _, k := range []Kind{Claim, Handoff, Fetch, Release} {
				if l.sent[k] > 0 {
					t.Errorf("%v messages of kind %d while nothing changes", l.sent[k], k)
				}
			}
		})
	}
}

// What the model says of a join and of a leave is what cores do.
func TestCostChange(t *testing.T) {
	if plantedMost == 0 {
		t.Skip("under the race detector it would take minutes, and finds the same without")
	}
	for _, holders := range []int{3, 5, 9, 30} {
		t.Run(fmt.Sprint(holders), func(t *testing.T) {
			f := cost.Fleet{Holders: holders, Partitions: 1024, Keys: 5000, KeyLen: len("user:00000000")}
			l := newCostLab(t, f)
			l.load = 20_000 / float64(holders)
			l.pass(2 * time.Second)
			l.load = 0
			l.pass(time.Second)
			l.forget()
			l.add(false)
			l.views()
			l.pass(5 * time.Second)
			l.compare("join", f, f.Join(), 0, holders+1)
			f.Holders++
			l.forget()
			last := l.nodes[len(l.nodes)-1]
			last.draining = true
			l.views()
			l.pass(5 * time.Second)
			if !last.core.Drained() || last.core.Kept() > 0 {
				t.Fatalf("%s has not left: %d held, %d kept", last.id, last.core.Held(), last.core.Kept())
			}
			l.nodes = l.nodes[:len(l.nodes)-1]
			l.views()
			l.pass(3 * time.Second)
			l.compare("leave", f, f.Leave(), float64(holders), holders+1)
		})
	}
}

// A join takes as long as the model says, where it takes much longer than the pace needs for one message.
func TestCostPace(t *testing.T) {
	if plantedMost == 0 {
		t.Skip("under the race detector it would take minutes, and finds the same without")
	}
	for _, f := range []cost.Fleet{
		{Holders: 3, Keys: 100_000, Pace: 256 << 10}, {Holders: 9, Keys: 250_000, Pace: 256 << 10},
	} {
		t.Run(fmt.Sprintf("%d holders, %v keys", f.Holders, f.Keys), func(t *testing.T) {
			f.Partitions, f.KeyLen = cost.Ring, len("user:00000000")
			l := newCostLab(t, f)
			l.load = 2 * f.Keys / float64(f.Holders)
			l.pass(2 * time.Second)
			l.load = 0
			l.pass(30 * time.Second) // until replicas are whole
			l.forget()
			began := l.now
			n := l.add(false)
			l.views()
			for n.core.Wants() > 0 && l.now.Sub(began) < time.Minute {
				l.pass(20 * time.Millisecond)
			}
			near(t, "seconds until a node that joins has its part", l.now.Sub(began).Seconds(), f.Join().Within)
			was := l.filled
			for last := l.now; l.now.Sub(last) < 3*time.Second && l.now.Sub(began) < 3*time.Minute; l.pass(20 * time.Millisecond) {
				if l.filled != was {
					was, last = l.filled, l.now
				}
			}
			near(t, "seconds until all replicas are whole", (l.now.Sub(began) - 3*time.Second).Seconds(), f.Join().Whole)
		})
	}
}

// compare compares what was counted with c, by which so many of those who were there gain partitions, and each of them asks all
// of so many for these: with few partitions others do.
func (l *costLab) compare(what string, f cost.Fleet, c cost.Change, gain float64, all int) {
	l.t.Helper()
	others := (l.gained - gain) * float64(all-1)
	near(l.t, what+": claims", l.sent[Claim], c.Claims+others)
	near(l.t, what+": partitions moved", l.moved, c.Moved)
	near(l.t, what+": replicas made anew", l.filled, c.Filled)
	claims := l.bytes[Claim] + l.sent[Claim]*cost.WrapBytes
	near(l.t, what+": bytes of claims", claims, c.Wire+others*(cost.TellBytes+cost.AnsweredBytes))
	if f.Holders < 10 { // with few partitions a node their own bytes count
		bytes := l.bytes[Handoff] + l.bytes[Replicate]
		near(l.t, what+": bytes of buckets", bytes, c.Bytes+(c.Moved+c.Filled)*cost.ParcelBytes)
	}
}

// near fails the test unless the model is right.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if err := cost.Near(what, got, want); err != nil {
		t.Error(err)
	}
}
