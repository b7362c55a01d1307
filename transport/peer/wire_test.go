package peer

import (
	"encoding/hex"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/ring"
	"github.com/noriahq/noria/transport/peerpb"
)

var update = flag.Bool("update", false, "rewrite testdata")

var (
	anyText   = rapid.StringN(0, 20, bucket.MaxID)
	anyKey    = rapid.StringN(1, 200, bucket.MaxKey)
	anyAmount = rapid.Int64Min(0)
	anyName   = rapid.SampledFrom([]ring.Member{"", "a", "b", "node-c.example:7947"})
)

var anyAsk = rapid.Custom(func(t *rapid.T) cluster.Ask {
	a := cluster.Ask{
		Op:     rapid.SampledFrom([]cluster.Op{0, 1, 2, 3, 4, 5, 6, 7, 9, 10}).Draw(t, "op"),
		Epoch:  rapid.Uint64().Draw(t, "epoch"),
		Holder: anyName.Draw(t, "holder"),
		Hop:    rapid.Uint8().Draw(t, "hop"),
		Wait:   time.Duration(rapid.Int64Min(1).Draw(t, "wait")),
		Hold:   rapid.Uint64().Draw(t, "hold"),
		Rest:   anyAmount.Draw(t, "rest"),
		Back:   anyAmount.Draw(t, "back"),
	}
	if a.Op == cluster.OpTell {
		a.Body = rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "body")
	} else {
		a.Checks = rapid.SliceOfN(anyCheck, 1, 5).Draw(t, "checks")
	}
	return a
})

var anyCheck = rapid.Custom(func(t *rapid.T) cluster.Check {
	return cluster.Check{
		Partition: ring.Partition(rapid.Uint16().Draw(t, "partition")),
		Term:      cluster.Term(rapid.Uint64().Draw(t, "term")),
		Request: bucket.Request{
			Key: anyKey.Draw(t, "key"),
			Limit: bucket.Limit{
				Tokens: rapid.Int64().Draw(t, "tokens"), Per: time.Duration(rapid.Int64().Draw(t, "per")),
				Burst: rapid.Int64().Draw(t, "burst"), Queue: rapid.Int64().Draw(t, "queue"),
				Window: bucket.Window(rapid.IntRange(0, 7).Draw(t, "window")), Zone: anyText.Draw(t, "zone"),
			},
			Cost:       rapid.Int64Range(0, bucket.MaxCost).Draw(t, "cost"),
			ID:         anyText.Draw(t, "id"),
			Reserve:    time.Duration(rapid.Int64Range(0, int64(bucket.MaxReserve)).Draw(t, "reserve")),
			OnLost:     bucket.OnLost(rapid.IntRange(0, 2).Draw(t, "on_lost")),
			Durability: bucket.Durability(rapid.IntRange(0, 2).Draw(t, "durability")),
			ColdStart:  bucket.ColdStart(rapid.IntRange(0, 1).Draw(t, "cold_start")),
		},
	}
})

var anyDecision = rapid.Custom(func(t *rapid.T) bucket.Decision {
	return bucket.Decision{
		Allowed: rapid.Bool().Draw(t, "allowed"), Degraded: rapid.Bool().Draw(t, "degraded"),
		Source: bucket.Source(rapid.IntRange(0, 3).Draw(t, "source")), Remaining: anyAmount.Draw(t, "remaining"),
		RetryAfter: time.Duration(anyAmount.Draw(t, "retry_after")), ResetAfter: time.Duration(anyAmount.Draw(t, "reset_after")),
		Delay: time.Duration(anyAmount.Draw(t, "delay")), Node: string(rapid.SampledFrom([]ring.Member{"b", "c"}).Draw(t, "node")),
	}
})

// answered returns an ask with the kind of answer that it may get from b.
var answered = rapid.Custom(func(t *rapid.T) cluster.Ask {
	a := anyAsk.Draw(t, "ask")
	a.Answer = cluster.Answer{
		Status: cluster.AnswerStatus(rapid.IntRange(0, 2).Draw(t, "status")),
		Term:   cluster.Term(rapid.Uint64().Draw(t, "term")), Epoch: rapid.Uint64().Draw(t, "epoch"),
	}
	if body := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "body"); a.Op == cluster.OpTell && len(body) > 0 {
		a.Answer.Body = body
	}
	switch a.Answer.Status {
	case cluster.Decided:
		a.Answer.Held, a.Answer.Next = anyAmount.Draw(t, "held"), anyAmount.Draw(t, "next")
		a.Answer.Holder = rapid.SampledFrom([]ring.Member{"b", "c"}).Draw(t, "holder")
		for i := range a.Checks {
			if decides(a.Op) {
				a.Checks[i].Decision = anyDecision.Draw(t, "decision")
			}
			if a.Op == cluster.OpSettle {
				a.Checks[i].Settled = bucket.Settled{
					Known: rapid.Bool().Draw(t, "known"), Reserved: anyAmount.Draw(t, "reserved"), Charged: anyAmount.Draw(t, "charged"),
				}
			}
		}
	case cluster.NotHolder:
		a.Answer.Holder = anyName.Draw(t, "holder")
	case cluster.Invalid:
		a.Answer.Reason = anyText.Draw(t, "reason")
		a.Answer.Flaw = cluster.Flaw(rapid.Uint8().Draw(t, "flaw"))
	}
	return a
})

func askToProto(a *cluster.Ask) *peerpb.Ask {
	p := &peerpb.Ask{
		Op: peerpb.Op(a.Op), Epoch: a.Epoch, Holder: string(a.Holder), Hop: uint32(a.Hop), WaitNs: int64(a.Wait), Hold: a.Hold,
		Body: a.Body, Rest: a.Rest, Back: a.Back,
	}
	for _, c := range a.Checks {
		r := c.Request
		p.Checks = append(p.Checks, &peerpb.Check{
			Partition: uint32(c.Partition), Term: uint64(c.Term), Key: r.Key, Cost: r.Cost, Id: r.ID,
			Limit: &peerpb.Limit{
				Tokens: r.Limit.Tokens, PerNs: int64(r.Limit.Per), Burst: r.Limit.Burst, Queue: r.Limit.Queue,
				Window: peerpb.Window(r.Limit.Window), Zone: r.Limit.Zone,
			},
			OnLost: peerpb.OnLost(r.OnLost), Durability: peerpb.Durability(r.Durability), ColdStart: peerpb.ColdStart(r.ColdStart),
			ReserveNs: int64(r.Reserve),
		})
	}
	return p
}

func askFromProto(p *peerpb.Ask) cluster.Ask {
	a := cluster.Ask{
		Op: cluster.Op(p.Op), Epoch: p.Epoch, Holder: ring.Member(p.Holder), Hop: uint8(p.Hop), Wait: time.Duration(p.WaitNs),
		Hold: p.Hold, Body: p.Body, Rest: p.Rest, Back: p.Back,
	}
	for _, c := range p.Checks {
		l := c.GetLimit()
		a.Checks = append(a.Checks, cluster.Check{
			Partition: ring.Partition(c.Partition), Term: cluster.Term(c.Term),
			Request: bucket.Request{
				Key: c.Key, Cost: c.Cost, ID: c.Id,
				Limit: bucket.Limit{
					Tokens: l.GetTokens(), Per: time.Duration(l.GetPerNs()), Burst: l.GetBurst(), Queue: l.GetQueue(),
					Window: bucket.Window(l.GetWindow()), Zone: l.GetZone(),
				},
				OnLost: bucket.OnLost(c.OnLost), Durability: bucket.Durability(c.Durability), ColdStart: bucket.ColdStart(c.ColdStart),
				Reserve: time.Duration(c.ReserveNs),
			},
		})
	}
	return a
}

func answerToProto(a *cluster.Ask) *peerpb.Answer {
	p := &peerpb.Answer{
		Status: peerpb.Status(a.Answer.Status), Holder: string(a.Answer.Holder), Term: uint64(a.Answer.Term), Epoch: a.Answer.Epoch,
		Reason: a.Answer.Reason, Flaw: uint32(a.Answer.Flaw), Body: a.Answer.Body, Held: a.Answer.Held, Next: a.Answer.Next,
	}
	if a.Answer.Status == cluster.Decided && a.Answer.Holder == "b" {
		p.Holder = ""
	}
	if a.Answer.Status == cluster.Decided && a.Op == cluster.OpSettle {
		for _, c := range a.Checks {
			p.Settled = append(p.Settled, &peerpb.Settled{Known: c.Settled.Known, Reserved: c.Settled.Reserved, Charged: c.Settled.Charged})
		}
	}
	if a.Answer.Status != cluster.Decided || !decides(a.Op) {
		return p
	}
	for _, c := range a.Checks {
		d := c.Decision
		p.Decisions = append(p.Decisions, &peerpb.Decision{
			Allowed: d.Allowed, Degraded: d.Degraded, Source: peerpb.Source(d.Source), Remaining: d.Remaining,
			RetryAfterNs: int64(d.RetryAfter), ResetAfterNs: int64(d.ResetAfter), DelayNs: int64(d.Delay),
			Node: strings.TrimPrefix(d.Node, "b"),
		})
	}
	return p
}

// An ask is the same bytes that the generated code makes, and is read back from them.
func TestAskWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		asks := rapid.SliceOfN(anyAsk, 1, 4).Draw(t, "asks")
		seq := rapid.Uint64Min(1).Draw(t, "seq")
		got, want := appendSeq(nil, seq), &peerpb.Frame{Seq: seq}
		for i := range asks {
			got = appendAsk(got, &asks[i], asks[i].Wait)
			want.Asks = append(want.Asks, askToProto(&asks[i]))
			if size, err := measure(&asks[i]); err != nil || size < proto.Size(want.Asks[i])+4 {
				t.Errorf("measure: %d bytes, %v, want at least %d", size, err, proto.Size(want.Asks[i])+4)
			}
		}
		if diff := cmp.Diff(got, marshal(t, want)); diff != "" {
			t.Fatalf("bytes of %+v (-got +generated):\n%s", asks, diff)
		}
		var f frame
		r := responder{me: &identity{self: helloOf("b"), handler: everyone{}}}
		if err := f.split(got); err != nil || f.seq != seq {
			t.Fatalf("split: %v, seq %d, want %d", err, f.seq, seq)
		}
		if err := r.decode(f.asks); err != nil || len(r.bad) > 0 {
			t.Fatalf("decode: %v, %v", err, r.bad)
		}
		if diff := cmp.Diff(r.asks, asks, ignoreDone, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("asks read back (-got +want):\n%s", diff)
		}
	})
}

// An answer is the same bytes that the generated code makes, and is read back from them.
func TestAnswerWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := answered.Draw(t, "answered")
		b := appendAnswer(nil, &want, "b")
		if diff := cmp.Diff(b, marshal(t, &peerpb.Frame{Answers: []*peerpb.Answer{answerToProto(&want)}})); diff != "" {
			t.Fatalf("bytes (-got +generated):\n%s", diff)
		}
		var f frame
		if err := f.split(b); err != nil {
			t.Fatalf("split: %v", err)
		}
		got := cloneAsk(&want)
		got.Answer = cluster.Answer{Reason: "an older answer"}
		for i := range got.Checks {
			if got.Op == cluster.OpTake && want.Answer.Status == cluster.Decided {
				got.Checks[i].Decision = bucket.Decision{Degraded: true, Node: "old"}
			}
		}
		if err := decodeAnswer(f.answers[0], &got, "b"); err != nil {
			t.Fatalf("decodeAnswer: %v", err)
		}
		if diff := cmp.Diff(got, want, ignoreDone); diff != "" {
			t.Errorf("answer read back (-got +want):\n%s", diff)
		}
	})
}

// A hello is the same bytes that the generated code makes, and is read back from them.
func TestHelloWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := cluster.Hello{
			Protocol: rapid.Uint32().Draw(t, "protocol"), Label: anyText.Draw(t, "label"), Ring: anyText.Draw(t, "ring"),
			ID: "b", Boot: rapid.Uint64().Draw(t, "boot"), Newest: rapid.Uint32().Draw(t, "newest"),
		}
		b := appendOpening(nil, want)
		if diff := cmp.Diff(b, marshal(t, &peerpb.Frame{Hello: toProto(want)})); diff != "" {
			t.Fatalf("bytes (-got +generated):\n%s", diff)
		}
		var f frame
		if err := f.split(b); err != nil {
			t.Fatal(err)
		}
		got, err := f.opening()
		if diff := cmp.Diff(got, want); err != nil || diff != "" {
			t.Errorf("opening: %v (-got +want):\n%s", err, diff)
		}
	})
}

func marshal(t *rapid.T, m proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The bytes stay what they are: nodes of two versions must understand each other.
func TestGoldenFrames(t *testing.T) {
	ask := newAsk("tenant/42", 50*time.Millisecond)
	ask.Epoch, ask.Hold, ask.Checks[0].Term = 0x0102030405060708, 300, 5
	ask.Answer = cluster.Answer{Holder: "b", Term: 5, Epoch: 9}
	ask.Checks[0].Decision = bucket.Decision{RetryAfter: bucket.Never, ResetAfter: time.Second}
	lent := newAsk("tenant/42", 50*time.Millisecond)
	lent.Op, lent.Hold, lent.Rest, lent.Back = cluster.OpLend, 301, 7, 2
	lent.Answer = cluster.Answer{Holder: "b", Term: 5, Held: 400, Next: 30}
	told := newTell([]byte("what one core says"), 50*time.Millisecond)
	told.Answer = cluster.Answer{Holder: "b", Body: []byte("what the other does")}
	settled := newAsk("tenant/42", 50*time.Millisecond)
	settled.Op, settled.Checks[0].Request.ID, settled.Checks[0].Request.Reserve = cluster.OpSettle, "req-1", time.Second
	settled.Answer, settled.Checks[0].Settled = cluster.Answer{Holder: "b", Term: 5}, bucket.Settled{Known: true, Reserved: 300, Charged: 7}
	moved := &cluster.Ask{Answer: cluster.Answer{Status: cluster.NotHolder, Holder: "c", Term: 6}}
	frames := [][]byte{
		appendOpening(nil, helloOf("a")),
		appendAsk(appendSeq(nil, 1), ask, 49*time.Millisecond),
		appendInvalid(appendAnswer(appendAnswer(appendSeq(nil, 1), ask, "b"), moved, "b"), "key is empty"),
		appendAsk(appendSeq(nil, 1), told, 49*time.Millisecond),
		appendAnswer(appendSeq(nil, 1), told, "b"),
		appendAsk(appendSeq(nil, 2), lent, 49*time.Millisecond),
		appendAnswer(appendSeq(nil, 2), lent, "b"),
		appendAsk(appendSeq(nil, 3), settled, 49*time.Millisecond),
		appendAnswer(appendSeq(nil, 3), settled, "b"),
	}
	var got strings.Builder
	for _, f := range frames {
		got.WriteString(hex.EncodeToString(f) + "\n")
	}
	const file = "testdata/frames.hex"
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if diff := cmp.Diff(got.String(), string(want)); err != nil || diff != "" {
		t.Errorf("%v (-got +want):\n%s", err, diff)
	}
}

// Whatever bytes come as asks, the answers are a frame with one answer for each, and what was understood is what the
// generated code understands.
func FuzzAsks(f *testing.F) {
	for _, seed := range []*peerpb.Frame{
		{},
		{Hello: toProto(helloOf("a"))},
		{Seq: 1, Asks: []*peerpb.Ask{rawAsk("k"), {}, rawAsk("")}},
		{Seq: 1, Answers: []*peerpb.Answer{{}}},
		{Seq: 1, Asks: []*peerpb.Ask{{Op: 7, WaitNs: 1, Checks: []*peerpb.Check{{Key: "k", Id: "i", ReserveNs: 1}}}}},
		{Seq: 1, Asks: []*peerpb.Ask{{Op: 3, WaitNs: 1, Body: []byte("told")}, {Op: 3, WaitNs: 1}, rawAsk("k")}},
	} {
		b, _ := proto.Marshal(seed)
		f.Add(b)
	}
	f.Add([]byte{2 << 3, 1, 3<<3 | 2, 3, 6<<3 | 2, 200, 1})
	f.Add([]byte{2 << 3, 1, 3<<3 | 2, 2, 6<<3 | 3, 6<<3 | 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := responder{me: &identity{self: helloOf("b"), handler: everyone{}}, next: 1}
		err := r.answer(b)
		var in peerpb.Frame
		if proto.Unmarshal(b, &in) == nil {
			compareAsks(t, &r, &in, err)
		}
		if err != nil {
			return
		}
		n := 0
		for r.more() {
			var answers peerpb.Frame
			if err := proto.Unmarshal(r.encode(nil), &answers); err != nil || answers.Seq != uint64(1+n) {
				t.Errorf("answers to %d asks from %d on are a frame with number %d, %v", len(r.frame.asks), 1+n, answers.Seq, err)
			}
			n += len(answers.Answers)
		}
		if n != len(r.frame.asks) {
			t.Errorf("%d asks got %d answers", len(r.frame.asks), n)
		}
	})
}

// compareAsks compares what r read, which ended with err, with what the generated code did.
func compareAsks(t *testing.T, r *responder, in *peerpb.Frame, err error) {
	if err != nil {
		wrong := in.Hello != nil || len(in.Answers) > 0 || len(in.Asks) > 0 && in.Seq != 1 || len(in.Asks) > maxItems
		checks := 0
		for _, a := range in.Asks {
			checks += len(a.Checks)
		}
		if !wrong && checks <= maxItems {
			t.Errorf("refused with %v what is a frame", err)
		}
		return
	}
	good, bad := r.asks, r.bad
	for i, a := range in.Asks {
		if len(bad) > 0 && bad[0].index == i {
			bad = bad[1:]
			continue
		}
		if diff := cmp.Diff(good[0], askFromProto(a), ignoreDone, ignoreAnswers, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("ask %d (-got +generated):\n%s", i, diff)
		}
		good = good[1:]
	}
}

// Whatever bytes come as answers, they are an answer with the decisions that were asked for, as the generated code reads
// them, or an error.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []*peerpb.Answer{
		{},
		{Status: 1, Holder: "c"},
		{Status: 2, Reason: "bad"},
		{Decisions: []*peerpb.Decision{{Allowed: true}, {Remaining: 3, Node: "c"}}},
		{Body: []byte("told")},
		{Settled: []*peerpb.Settled{{Known: true, Reserved: 7}, {Charged: 1}}},
	} {
		b, _ := proto.Marshal(&peerpb.Frame{Seq: 1, Answers: []*peerpb.Answer{seed}})
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var fr frame
		if fr.split(b) != nil || len(fr.answers) == 0 {
			return
		}
		a := newAsk("k", time.Second)
		a.Checks = append(a.Checks, a.Checks[0])
		if len(b)%2 == 0 {
			a = newTell([]byte("tell"), time.Second)
		} else if len(b)%3 == 0 {
			a.Op = cluster.OpSettle
		}
		if decodeAnswer(fr.answers[0], a, "b") != nil {
			return
		}
		var want peerpb.Answer
		if err := proto.Unmarshal(fr.answers[0], &want); err != nil {
			t.Fatalf("generated code does not read what we do: %v", err)
		}
		got := answerToProto(a)
		if want.Status == 0 && want.Holder == "b" {
			want.Holder = ""
		}
		for _, d := range want.Decisions {
			d.ProtoReflect().SetUnknown(nil) // with nothing else it is empty, and ignored
			d.Node = strings.TrimPrefix(d.Node, "b")
		}
		for _, d := range got.Decisions {
			d.Node = strings.TrimPrefix(d.Node, "b")
		}
		if diff := cmp.Diff(got, &want, protocmp.Transform(), protocmp.IgnoreEmptyMessages(), protocmp.IgnoreUnknown()); diff != "" {
			t.Errorf("answer (-got +generated):\n%s", diff)
		}
	})
}
