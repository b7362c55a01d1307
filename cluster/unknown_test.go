package cluster

import (
	"strings"
	"testing"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster/core"
)

// What a later release may say, and this one does not know, is refused ask by ask, with a reason, and harms nothing: an operation,
// and a kind of message between cores.
func TestUnknownIsRefused(t *testing.T) {
	n, end := stateNode(t, t.TempDir(), n0)
	defer end()
	tokens(t, n, "quota", "quota 100", 60)
	msg := (&core.Message{Kind: core.Merge + 1, Boot: 7}).Append(nil)
	check := Check{Request: bucket.Request{Key: "quota", Limit: bucket.Limit{Burst: 100}, Cost: 1}}
	asks := []Ask{
		{Op: OpTell, Body: msg},
		{Op: OpTell, Body: append((&core.Message{Kind: core.Beat}).Append(nil), 1, 2, 3)},
		{Op: 99, Checks: []Check{check}},
	}
	n.Answer("b", asks)
	for i, want := range []string{"kind 7 is unknown", "3 bytes too many", ""} {
		a := &asks[i].Answer
		if i < 2 && a.Status != Invalid || a.Status == Decided || !strings.Contains(a.Reason, want) {
			t.Errorf("ask %d is answered %d, %q; want a refusal with %q", i, a.Status, a.Reason, want)
		}
	}
	if got := tokens(t, n, "quota", "quota 100", 0); got != 40 {
		t.Errorf("%d tokens are left, want 40", got)
	}
}
