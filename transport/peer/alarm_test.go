package peer

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noriahq/noria/cluster"
)

// A process that stood still does not count that time as silence of its peer, whose answer may have arrived meanwhile; it
// does count what comes after.
func TestStall(t *testing.T) {
	for _, c := range []struct {
		name         string
		stall, takes time.Duration
		want         error
	}{
		{"a stall longer than the wait", 4 * slowWait, slowWait - stride, nil},
		{"and a peer that is silent after it", 4 * slowWait, 2 * slowWait, cluster.ErrPeerSilent},
		{"no stall", 0, 2 * slowWait, cluster.ErrPeerSilent},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, _ := slowFleet(t, c.takes)
				var ahead atomic.Int64 // of the bubble's clock
				base := time.Now()
				f.a.alarm.time = func() instant { return time.Since(base) + instant(ahead.Load()) } // which nothing runs by yet
				if a := told(f.peer, time.Second); a.Err != nil {
					t.Fatalf("tell: %v", a.Err)
				}
				time.AfterFunc(stride/2, func() { ahead.Add(int64(c.stall)) })
				took, err := f.ask(patientAsk())
				if !errors.Is(err, c.want) || took > slowWait+2*tick {
					t.Errorf("Ask = %v after %v of the process's time, want %v", err, took, c.want)
				}
			})
		})
	}
}
