package bucket

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// An id that was charged at one holder is answered the same at the next, until it is as old as it may be, and is forgotten
// where its partition was dropped.
func TestIDsMove(t *testing.T) {
	from, to := storeOf(t, StoreConfig{Partitions: 2}), storeOf(t, StoreConfig{Partitions: 2})
	take := func(s *Store, now time.Duration, part int, id string) Decision {
		t.Helper()
		d, err := s.Take(Instant(now), part, &Request{Key: fmt.Sprint("k", part), Limit: Limit{Burst: 9}, Cost: 1, ID: id})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	take(from, 0, 0, "old")
	first, other := take(from, time.Minute, 0, "id"), take(from, time.Minute, 1, "id")
	from.Freeze(0)
	now := time.Minute + 90*time.Second
	ids, states := from.ExportIDs(Instant(now), 0), from.Export(Instant(now), 0)
	want := []Remembered{{Key: "k0", ID: "id", Decision: first, Age: 90 * time.Second}}
	if !slices.Equal(ids, want) {
		t.Errorf("ExportIDs = %+v, want %+v", ids, want)
	}
	from.Drop(0)
	if got := from.ExportIDs(Instant(now), 0); len(got) != 0 {
		t.Errorf("after Drop: %+v", got)
	}
	if got := take(from, now, 1, "id"); got != other {
		t.Errorf("in the other partition: %+v, want %+v", got, other)
	}
	if err := errors.Join(to.ImportIDs(0, 0, ids), to.ImportIDs(0, 0, ids), to.Import(0, 0, states)); err != nil {
		t.Fatal(err)
	}
	if got := take(to, 30*time.Second, 0, "id"); got != first {
		t.Errorf("at the next holder: %+v, want %+v", got, first)
	}
	if got := take(to, 30*time.Second+1, 0, "id"); got.Remaining != 6 {
		t.Errorf("too old: %+v, want 6 remaining", got)
	}
}

// What cannot have been charged is not remembered, and what is too much goes as it came.
func TestImportIDs(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 1, MaxIDs: 3})
	yes := Decision{Allowed: true}
	for _, c := range []struct {
		name string
		part int
		id   Remembered
		want error
	}{
		{"no id", 0, Remembered{Key: "k", Decision: yes}, ErrID},
		{"a long id", 0, Remembered{Key: "k", ID: strings.Repeat("x", MaxID+1), Decision: yes}, ErrID},
		{"not UTF-8", 0, Remembered{Key: "k", ID: "\xff", Decision: yes}, ErrID},
		{"denied", 0, Remembered{Key: "k", ID: "id"}, ErrID},
		{"no key", 0, Remembered{ID: "id", Decision: yes}, ErrKey},
		{"no such partition", 1, Remembered{Key: "k", ID: "id", Decision: yes}, ErrMoved},
		{"too old", 0, Remembered{Key: "k", ID: "id", Decision: yes, Age: time.Hour}, nil},
	} {
		if err := s.ImportIDs(0, c.part, []Remembered{c.id}); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
	}
	if got := s.ExportIDs(0, 0); len(got) != 0 {
		t.Errorf("remembered: %+v", got)
	}
	var ids []Remembered
	for i := range 5 {
		ids = append(ids, Remembered{Key: "k", ID: fmt.Sprint(i), Decision: yes, Age: -time.Second})
	}
	if err := s.ImportIDs(0, 0, ids); err != nil {
		t.Fatal(err)
	}
	got := s.ExportIDs(0, 0)
	if len(got) != 3 || got[0].ID != "2" || got[2].ID != "4" || got[0].Age != 0 {
		t.Errorf("ExportIDs = %+v, want the last 3", got)
	}
}
