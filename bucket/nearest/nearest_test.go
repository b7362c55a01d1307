package nearest_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/noriahq/noria/bucket/nearest"
)

// A slip gets the word that was meant; a word that is like none gets nothing.
func TestTo(t *testing.T) {
	known := []string{"gossip", "grpc", "api", "admin", "max-keys", "peer-wait", "upstream", "Upper"}
	for word, want := range map[string]string{
		"gosip": "gossip", "gossip": "gossip", "goss": "gossip", "gpc": "grpc", "GRPC": "grpc", "aip": "api", "amdin": "admin",
		"maxkeys": "max-keys", "max_keys": "max-keys", "ups": "upstream", "upepr": "Upper", "up": "", "p": "", "zzz": "", "": "",
		"xapix": "", strings.Repeat("g", 1000): "",
	} {
		if got := nearest.To(word, known, 3); got != want {
			t.Errorf("To(%q) is %q, want %q", word, got, want)
		}
	}
	if got := nearest.To("daily", []string{"month", "day"}, 2); got != "day" {
		t.Errorf("To daily, one change for two letters, is %q, want day", got)
	}
}

// A letter that is left out, doubled or swapped with its neighbour is always recognized.
func TestSlips(t *testing.T) {
	words := []string{"burst", "queue", "quota", "window", "month"}
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SampledFrom(words).Draw(t, "word")
		i := rapid.IntRange(0, len(want)-2).Draw(t, "at")
		swapped := want[:i] + want[i+1:i+2] + want[i:i+1] + want[i+2:]
		for _, slip := range []string{want + "s", want[:i] + want[i+1:], want[:i+1] + want[i:], strings.ToUpper(swapped)} {
			if got := nearest.To(slip, words, 3); got != want {
				t.Fatalf("To(%q) = %q, want %q", slip, got, want)
			}
		}
	})
}

// Distance is a distance: 0 for the same, as far there as back, and at most one for one change.
func TestDistance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.StringN(0, 12, -1).Draw(t, "a"), rapid.StringN(0, 12, -1).Draw(t, "b")
		d := nearest.Distance(a, b)
		if (d == 0) != (a == b) || d != nearest.Distance(b, a) || d > max(len(a), len(b)) {
			t.Fatalf("Distance(%q, %q) = %d, back %d", a, b, d, nearest.Distance(b, a))
		}
		if e := nearest.Distance(a+"x", b); e > d+1 || e < d-1 {
			t.Fatalf("Distance(%q, %q) = %d, with one letter more %d", a, b, d, e)
		}
	})
}
