package gossip

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/noriahq/noria/cluster/clustertest/bubble"
)

// What memberlist says is a matter for Debug, some of it for Warn, and that once a minute. A logger that hangs holds up
// nobody.
func TestJournal(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var text strings.Builder
		j := newJournal(slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug})))
		for range 2 {
			for range 3 {
				j.Write([]byte("[ERR] memberlist: Decrypt packet failed: no installed keys could decrypt the message\n"))
			}
			time.Sleep(time.Minute)
		}
		j.Write([]byte("[DEBUG] memberlist: Stream connection from=10.0.0.1:1\n"))
		j.Write([]byte("odd"))
		for range 10 * journalLines {
			j.add(slog.LevelInfo, "flood") // and nobody writes
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		j.run(ctx)
		for part, want := range map[string]int{
			`level=WARN msg="a member's gossip is encrypted with another key" err="Decrypt packet failed`: 2,
			`level=DEBUG msg=memberlist err="Stream connection from=10.0.0.1:1"`:                          1,
			`level=DEBUG msg=memberlist err=odd`:                                                          1,
			"msg=flood":                                                                                   journalLines - 4,
		} {
			if got := strings.Count(text.String(), part); got != want {
				t.Errorf("%q is logged %d times, want %d", part, got, want)
			}
		}
	})
}
