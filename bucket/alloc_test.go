package bucket

import (
	"strings"
	"testing"
	"time"
	"unsafe"
)

// A decision on a key that is known costs no allocation, nor does a denial, a peek, or a key that was full.
func TestTakeDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector pools forget")
	}
	s := storeOf(t, StoreConfig{Partitions: 16, MaxIDs: 8})
	rate := Limit{Tokens: 1000, Per: time.Second, Burst: 1000}
	for _, c := range []struct {
		name string
		r    Request
		want bool
	}{
		{"allowed", Request{Key: "allowed", Limit: Limit{Tokens: 1000, Per: time.Microsecond, Burst: 1e9}, Cost: 1}, true},
		{"denied", Request{Key: "denied", Limit: Limit{Tokens: 1, Per: time.Hour, Burst: 1}, Cost: 1}, false},
		{"queued", Request{Key: "queued", Limit: Limit{Tokens: 1, Per: time.Second, Burst: 1, Queue: 1e9}, Cost: 1}, true},
		{"quota", Request{Key: "quota", Limit: Limit{Burst: 1e9}, Cost: 1}, true},
		{"window", Request{Key: "window", Limit: Limit{Burst: 1e9, Window: Month, Zone: "Asia/Tokyo"}, Cost: 1}, true},
		{"peek at a known key", Request{Key: "allowed", Limit: Limit{Tokens: 1000, Per: time.Microsecond, Burst: 1e9}}, true},
		{"peek at a new key", Request{Key: "new", Limit: rate}, true},
		{"peek under another limit", Request{Key: "denied", Limit: rate}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := Instant(0)
			take := func() {
				now++
				if d, err := s.Take(now, 3, &c.r); err != nil || d.Allowed != c.want && now > 1 {
					t.Errorf("Take = %+v, %v", d, err)
				}
			}
			if got := testing.AllocsPerRun(1000, take); got != 0 {
				t.Errorf("%v allocations, want none", got)
			}
		})
	}
}

// What a Store keeps is its own: callers may use their buffers again.
func TestStoreKeepsNoStrings(t *testing.T) {
	s := storeOf(t, StoreConfig{Partitions: 1})
	buffer := []byte("key id Europe/Berlin")
	alias := func(from, to int) string { return unsafe.String(&buffer[from], to-from) }
	r := Request{
		Key: alias(0, 3), ID: alias(4, 6), Cost: 1,
		Limit: Limit{Burst: 10, Window: Day, Zone: alias(7, len(buffer))},
	}
	holds, err := s.TakeAll(0, []Item{{Request: &r}}, true)
	if err != nil {
		t.Fatal(err)
	}
	states := s.Export(0, 0)
	s.Top(1)
	for i := range buffer {
		buffer[i] = 'x'
	}
	want := Request{Key: "key", ID: "id", Cost: 1, Limit: Limit{Burst: 10, Window: Day, Zone: "Europe/Berlin"}}
	if d, err := s.Take(0, 0, &want); err != nil || d.Remaining != 9 {
		t.Errorf("the same id again: %+v, %v; want the first answer", d, err)
	}
	want.ID = ""
	if d, err := s.Take(0, 0, &want); err != nil || d.Remaining != 8 {
		t.Errorf("without an id: %+v, %v; want 8 remaining", d, err)
	}
	if err := s.intact(); err != nil {
		t.Error(err)
	}
	if s.Refund(0, holds); s.Export(0, 0)[0].Debt != 1 {
		t.Errorf("after a refund: %+v, want a debt of 1", s.Export(0, 0))
	}
	if got := states[0]; got.Key != "key" || got.Limit.Zone != "Europe/Berlin" {
		t.Errorf("exported: %+v", got)
	}
	if got := s.Top(1); len(got) != 1 || strings.Contains(got[0].Key, "x") {
		t.Errorf("Top = %+v", got)
	}
}
