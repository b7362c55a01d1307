package harness

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/noriahq/noria/cluster/clustertest/bubble"
)

// Find sees every line once, those that were there before and those that come, and ends with the log.
func TestLogFind(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newLog()
		_, _ = l.Write([]byte("one\ntw")) // a Log never fails
		var seen []string
		found := make(chan string)
		go func() {
			line, err := l.Find(t.Context(), func(line string) bool {
				seen = append(seen, line)
				return strings.HasPrefix(line, "th")
			})
			found <- line
			if err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		_, _ = l.Write([]byte("o\nthr"))
		synctest.Wait()
		_, _ = l.Write([]byte("ee\nfour\n"))
		if got := <-found; got != "three" {
			t.Errorf("Find = %q, want three", got)
		}
		if diff := cmp.Diff([]string{"one", "two", "three"}, seen); diff != "" {
			t.Errorf("lines shown differ (-want +got):\n%s", diff)
		}
	})
}

// Find does not wait for a line of a process that has ended, nor longer than it may.
func TestLogFindEnds(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := newLog()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		never := func(string) bool { return false }
		if _, err := l.Find(ctx, never); err == nil {
			t.Error("Find with an ended context: no error")
		}
		_, _ = l.Write([]byte("rest"))
		l.end()
		if _, err := l.Find(t.Context(), never); err == nil || err.Error() != "log ended after 1 lines" {
			t.Errorf("Find in a log that ended: %v, want log ended after 1 lines", err)
		}
		if got := l.String(); got != "rest" {
			t.Errorf("log = %q, want rest", got)
		}
	})
}

// A process that broke down is noticed, and one that only speaks of panic is not.
func TestBreakdown(t *testing.T) {
	cases := []struct{ log, want string }{
		{"", ""},
		{`{"msg":"ready"}`, ""},
		{`{"msg":"panic: no"}`, ""},
		{"one\npanic: oh\n\ngoroutine 1 [running]:", "panic: oh"},
		{"fatal error: all goroutines are asleep - deadlock!", "fatal error: all goroutines are asleep - deadlock!"},
		{"==================\nWARNING: DATA RACE\nWrite at", "WARNING: DATA RACE"},
	}
	for _, c := range cases {
		if got := breakdown(strings.Split(c.log, "\n")); got != c.want {
			t.Errorf("breakdown(%q) = %q, want %q", c.log, got, c.want)
		}
	}
}
