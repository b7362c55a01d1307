package core

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// sameMessage compares messages; a list without entries is the same as none.
var sameMessage = cmp.Options{cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(bucket.Decision{})}

func drawText(most int) *rapid.Generator[string] { return rapid.StringN(0, most/4, most) }

func drawRuns(t *rapid.T, name string) []Run {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Run {
		return Run{ring.Member(drawText(ring.MaxMember).Draw(t, "id")), rapid.Uint64().Draw(t, "boot"), time.Duration(rapid.IntRange(0, absentMost).Draw(t, "for")) * time.Millisecond}
	}), 0, 5).Draw(t, name)
}

func drawPartitions(t *rapid.T, name string) []ring.Partition {
	return rapid.SliceOfN(rapid.Map(rapid.Uint16(), func(p uint16) ring.Partition { return ring.Partition(p) }), 0, 9).Draw(t, name)
}

func drawTerm(t *rapid.T) Term { return Term(rapid.Uint64Range(0, maxTerm).Draw(t, "term")) }

func drawState(t *rapid.T) bucket.State {
	limits := []bucket.Limit{
		{Tokens: 10, Per: time.Second, Burst: 20},
		{Burst: 60},
		{Tokens: 1, Per: time.Hour, Burst: 5, Queue: 7, Zone: "Europe/Berlin", Window: 1},
	}
	return bucket.State{
		Key: drawText(bucket.MaxKey).Draw(t, "key"), Limit: rapid.SampledFrom(limits).Draw(t, "limit"),
		Debt: rapid.Int64().Draw(t, "debt"), Left: time.Duration(rapid.Int64().Draw(t, "left")),
	}
}

func drawReserved(t *rapid.T) bucket.Reserved {
	return bucket.Reserved{
		Key: drawText(bucket.MaxKey).Draw(t, "key"), ID: drawText(bucket.MaxID).Draw(t, "id"), Limit: drawState(t).Limit,
		Cost: rapid.Int64().Draw(t, "cost"), Round: rapid.Uint64().Draw(t, "round"), Left: time.Duration(rapid.Int64().Draw(t, "left")),
		Least: rapid.Int64().Draw(t, "least"), Debt: rapid.Int64().Draw(t, "debt"), Charged: rapid.Int64().Draw(t, "charged"), Settled: rapid.Bool().Draw(t, "settled"),
		Undone: rapid.Bool().Draw(t, "undone"),
	}
}

func drawParcel(t *rapid.T) Parcel {
	p := Parcel{
		Partition: ring.Partition(rapid.Uint16().Draw(t, "partition")), Term: drawTerm(t), Round: rapid.Uint64().Draw(t, "round"),
		Chunk: rapid.IntRange(0, maxChunks).Draw(t, "chunk"), Chunks: rapid.IntRange(0, maxChunks).Draw(t, "chunks"),
		Cold: rapid.Bool().Draw(t, "cold"), ColdFor: time.Duration(rapid.Int64().Draw(t, "for")), Stale: rapid.Bool().Draw(t, "stale"),
	}
	p.States = rapid.SliceOfN(rapid.Custom(drawState), 0, 4).Draw(t, "states")
	p.Changes = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) bucket.Change {
		return bucket.Change{Partition: int(p.Partition), State: drawState(t), Replaces: rapid.Bool().Draw(t, "replaces")}
	}), 0, 4).Draw(t, "changes")
	p.Reserved = rapid.SliceOfN(rapid.Custom(drawReserved), 0, 4).Draw(t, "reserved")
	p.IDs = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) bucket.Remembered {
		allowed := rapid.Bool().Draw(t, "allowed")
		return bucket.Remembered{
			Gone: !allowed,
			Key:  drawText(bucket.MaxKey).Draw(t, "key"), ID: drawText(bucket.MaxID).Draw(t, "id"), Age: time.Duration(rapid.Int64().Draw(t, "age")),
			Decision: bucket.Decision{
				Allowed: allowed, Degraded: rapid.Bool().Draw(t, "degraded"), Source: bucket.FromLease,
				Remaining: rapid.Int64().Draw(t, "remaining"), Delay: time.Duration(rapid.Int64().Draw(t, "delay")),
				RetryAfter: time.Duration(rapid.Int64().Draw(t, "retry")), ResetAfter: time.Duration(rapid.Int64().Draw(t, "reset")),
				Node: drawText(ring.MaxMember).Draw(t, "node"),
			},
		}
	}), 0, 3).Draw(t, "ids")
	return p
}

func drawPlaces(t *rapid.T, name string) []Place {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Place {
		return Place{
			Partition: ring.Partition(rapid.Uint16().Draw(t, "partition")), Status: Status(rapid.IntRange(0, int(statuses)-1).Draw(t, "status")),
			Term: drawTerm(t), Copy: drawTerm(t), Holder: ring.Member(rapid.SampledFrom([]string{"", "a", "b", "node-17"}).Draw(t, "holder")),
		}
	}), 0, 9).Draw(t, name)
}

// What is read is what was written.
func TestMessageRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := &Message{
			Kind: Kind(rapid.IntRange(0, int(kinds)-1).Draw(t, "kind")), Boot: rapid.Uint64().Draw(t, "boot"),
			Epoch: rapid.Uint64().Draw(t, "epoch"), Round: rapid.Uint64().Draw(t, "round"), Wanted: drawPartitions(t, "wanted"),
			Missed: drawRuns(t, "missed"), Gone: drawRuns(t, "gone"), Gates: drawRuns(t, "gates"), Parts: rapid.SliceOfN(rapid.Custom(drawParcel), 0, 4).Draw(t, "parts"),
		}
		got, err := ReadMessage(want.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, sameMessage); diff != "" {
			t.Fatal(diff)
		}
	})
}

// The same of replies.
func TestReplyRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := &Reply{
			Known: rapid.Bool().Draw(t, "known"), Founded: rapid.Bool().Draw(t, "founded"), Boot: rapid.Uint64().Draw(t, "boot"),
			Epoch: rapid.Uint64().Draw(t, "epoch"), Missed: drawRuns(t, "missed"), Gone: drawRuns(t, "gone"), Gates: drawRuns(t, "gates"),
			Places: drawPlaces(t, "places"), Over: drawPlaces(t, "over"), Taken: drawPartitions(t, "taken"),
			Partly: drawPartitions(t, "partly"), Never: drawPartitions(t, "never"),
		}
		got, err := ReadReply(want.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, sameMessage); diff != "" {
			t.Fatal(diff)
		}
	})
}

// What is no message is refused, with an error that callers can tell.
func TestReadBad(t *testing.T) {
	whole := (&Message{Kind: Claim, Boot: 3, Wanted: []ring.Partition{1, 2}}).Append(nil)
	for name, b := range map[string][]byte{
		"nothing": {}, "a kind that is not": {byte(kinds), 0, 0, 0, 0, 0, 0, 0}, "less": whole[:len(whole)-1], "more": append(whole, 0),
		"a long list": {byte(Claim), 0, 0, 0, 0xff, 0xff, 0xff, 0x7f},
	} {
		if m, err := ReadMessage(b); !errors.Is(err, ErrMessage) {
			t.Errorf("ReadMessage of %s = %+v, %v; want ErrMessage", name, m, err)
		}
	}
	bad := (&Reply{Places: []Place{{Status: statuses}}}).Append(nil)
	if r, err := ReadReply(bad); !errors.Is(err, ErrMessage) {
		t.Errorf("ReadReply of an unknown status = %+v, %v; want ErrMessage", r, err)
	}
	high := (&Reply{Places: []Place{{Term: maxTerm + 1}}}).Append(nil)
	if r, err := ReadReply(high); !errors.Is(err, ErrMessage) {
		t.Errorf("ReadReply of a term that no partition has = %+v, %v; want ErrMessage", r, err)
	}
}

// Bytes that are read as a message are the message's: written and read again it is the same.
func FuzzReadMessage(f *testing.F) {
	f.Add((&Message{Kind: Claim, Boot: 3, Wanted: []ring.Partition{1, 2, 90}, Missed: []Run{{ID: "a", Boot: 1}}}).Append(nil))
	f.Add((&Message{Kind: Handoff, Parts: []Parcel{{
		Partition: 4, Term: 2, Round: 7, Chunks: 1, States: []bucket.State{{Key: "k", Limit: bucket.Limit{Burst: 5}, Debt: 3}},
		IDs: []bucket.Remembered{{Key: "k", ID: "i"}},
	}}}).Append(nil))
	slot := bucket.Reserved{Key: "k", ID: "i", Limit: bucket.Limit{Burst: 5, Window: bucket.Concurrency}, Cost: 2, Round: 1, Left: time.Second}
	f.Add((&Message{Kind: Replicate, Parts: []Parcel{{
		Changes:  []bucket.Change{{State: bucket.State{Key: "k", Limit: slot.Limit}, Reserved: []bucket.Reserved{slot}}},
		Reserved: []bucket.Reserved{slot},
	}}}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ReadMessage(b)
		if err != nil {
			return
		}
		again, err := ReadMessage(m.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, again, sameMessage); diff != "" {
			t.Error(diff)
		}
	})
}

// The same of replies.
func FuzzReadReply(f *testing.F) {
	f.Add((&Reply{Known: true, Places: []Place{{Partition: 3, Status: Keeps, Term: 9, Holder: "b"}, {Holder: "b"}}}).Append(nil))
	f.Add((&Reply{Taken: []ring.Partition{1}, Partly: []ring.Partition{2}, Never: []ring.Partition{3}}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ReadReply(b)
		if err != nil {
			return
		}
		again, err := ReadReply(r.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, again, sameMessage); diff != "" {
			t.Error(diff)
		}
	})
}
