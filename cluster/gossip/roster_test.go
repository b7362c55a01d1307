package gossip

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/noriahq/noria/ring"
)

var ringID = rapid.Map(rapid.StringMatching(`[a-z/ ]{1,20}`), func(s string) ring.Member { return ring.Member(s) })

// However nodes come and go, a roster tells this node and each that is alive once, in order, none of them as missing, and
// no more than 1,000 missing ones.
func TestRoster(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		self := Member{ID: "self", Boot: 1}
		r := newRoster("self/1")
		r.put("self/1", self)
		now := time.Unix(0, 0)
		alive := map[string]Member{"self/1": self}
		t.Repeat(map[string]func(*rapid.T){
			"come": func(t *rapid.T) {
				m := Member{ID: ring.Member(rapid.StringMatching(`[a-c]`).Draw(t, "id")), Boot: rapid.Uint64Range(1, 3).Draw(t, "boot")}
				m.Draining = rapid.Bool().Draw(t, "draining")
				alive[nameOf(m.ID, m.Boot)] = m
				r.put(nameOf(m.ID, m.Boot), m)
			},
			"go": func(t *rapid.T) {
				name := rapid.SampledFrom([]string{"self/1", "a/1", "a/2", "a/3", "b/1", "c/1", "nobody/1"}).Draw(t, "name")
				now = now.Add(time.Minute)
				if name != "self/1" {
					delete(alive, name)
				}
				r.drop(name, now)
			},
			"": func(t *rapid.T) { checkView(t, r.view(now), alive) },
		})
	})
}

func checkView(t *rapid.T, v View, alive map[string]Member) {
	want := map[ring.Member]Member{}
	for _, m := range alive {
		if m.Boot >= want[m.ID].Boot {
			want[m.ID] = m
		}
	}
	if len(v.Members) != len(want) {
		t.Fatalf("Members = %v, want %v", v.Members, want)
	}
	for i, m := range v.Members {
		if want[m.ID] != m || i > 0 && v.Members[i-1].ID >= m.ID {
			t.Fatalf("Members = %v, want %v in order", v.Members, want)
		}
	}
	for _, m := range v.Missing {
		if _, ok := want[m.ID]; ok || m.Draining {
			t.Fatalf("%v is missing, and alive or gone on purpose", m)
		}
	}
}

// A missing member is looked for 24 hours, and of too many the last 1,000 are.
func TestMissing(t *testing.T) {
	r := newRoster("self/1")
	start := time.Unix(0, 0)
	for i := range seenMost + 10 {
		name := nameOf(ring.Member(fmt.Sprint(i)), 1)
		r.put(name, Member{ID: ring.Member(fmt.Sprint(i)), Boot: 1})
		r.drop(name, start.Add(time.Duration(i)*time.Second))
	}
	got := r.view(start.Add(time.Hour)).Missing
	if len(got) != seenMost {
		t.Errorf("%d are missing, want %d", len(got), seenMost)
	}
	for _, m := range got {
		if m.Since.Before(start.Add(10 * time.Second)) {
			t.Errorf("%s is missing, and later ones were forgotten", m.ID)
		}
	}
	if got := r.view(start.Add(seenFor + 19*time.Second)).Missing; len(got) != seenMost-9 {
		t.Errorf("%d are missing a day later, want %d", len(got), seenMost-9)
	}
	if got := r.view(start.Add(2 * seenFor)).Missing; len(got) != 0 {
		t.Errorf("%d are missing two days later, want none", len(got))
	}
}
