package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/noriahq/noria/transport/noriapb"
)

// Whatever the body, the answer is 200, 400 or 429 and says why, and what was understood is what encoding/json
// understands.
func FuzzCheckJSON(f *testing.F) {
	for _, body := range []string{
		`{"key":"user:42","limit":"100/s burst 200","cost":1}`,
		`{"checks":[{"key":"a","limit":"1/m"},{"key":"b","limit":"quota 3","cost":0,"id":"x","name":"n"}]}`,
		`{"key":"\u00e9\ud83d\ude00\n","limit":"window 5 per 1m","durability":"none","on_lost":"deny","cold_start":"empty"}`,
		`{"key":"k","limit":"1/s","cost":-0}`, `{"k\u0065y":"k","limit":"1\/s"}`, `{"checks":[]}`, `{}`, `[1,2]`, "\xff", `{"key":"\ud800"}`,
	} {
		f.Add([]byte(body))
	}
	limiter := newFake(f)
	h := NewHTTP(limiter, Config{MaxHold: NoHold})
	f.Fuzz(func(t *testing.T, body []byte) {
		limiter.mu.Lock()
		limiter.asked = nil
		limiter.mu.Unlock()
		w := post(h, PathCheck, string(body))
		var answer struct {
			Allowed *bool
			Detail  string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("POST %q: the answer is not JSON: %v: %s", body, err, w.Body)
		}
		switch w.Code {
		case http.StatusOK, http.StatusTooManyRequests:
			if answer.Allowed == nil || *answer.Allowed != (w.Code == http.StatusOK) {
				t.Errorf("POST %q: %d %s, want allowed to say the same", body, w.Code, w.Body)
			}
			sameAsStandard(t, body, limiter)
		case http.StatusBadRequest:
			if answer.Detail == "" || len(answer.Detail) > 1000 {
				t.Errorf("POST %q: %d %s, want a detail that people can read", body, w.Code, w.Body)
			}
		default:
			t.Errorf("POST %q: %d %s, want 200, 400 or 429", body, w.Code, w.Body)
		}
	})
}

// sameAsStandard compares what limiter was asked with what encoding/json reads.
func sameAsStandard(t *testing.T, body []byte, limiter *fake) {
	t.Helper()
	type one struct {
		Key  string
		Cost *int64
		ID   string
	}
	var all struct {
		one
		Checks []one
	}
	d := json.NewDecoder(strings.NewReader(string(body)))
	if err := d.Decode(&all); err != nil {
		t.Fatalf("POST %q was understood, encoding/json says %v", body, err)
	}
	if all.Checks == nil {
		all.Checks = []one{all.one}
	}
	asked := limiter.requests()
	if len(asked) != len(all.Checks) {
		t.Fatalf("POST %q: %d requests, want %d", body, len(asked), len(all.Checks))
	}
	for i, want := range all.Checks {
		cost := int64(1)
		if want.Cost != nil {
			cost = *want.Cost
		}
		if got := asked[i]; got.Key != want.Key || got.Cost != cost || got.ID != want.ID {
			t.Errorf("POST %q: check %d is %+v, encoding/json reads %+v", body, i, got, want)
		}
	}
}

// Whatever the message, the answer is a decision or InvalidArgument.
func FuzzCheckProto(f *testing.F) {
	for _, m := range []*pb.CheckAllRequest{
		{Checks: []*pb.CheckRequest{{Key: "a", Limit: "1/m", Cost: proto.Int64(1), Id: "x", Name: "n"}}},
		{Checks: []*pb.CheckRequest{{Key: "a", LimitSpec: &pb.LimitSpec{Tokens: 1, PerNs: 1, Burst: 1, Queue: 1}}, {Key: "b", Limit: "quota 3"}}},
		{Checks: []*pb.CheckRequest{{Key: "a", LimitSpec: &pb.LimitSpec{Burst: 1, Window: pb.Window_WINDOW_DAY, Zone: "Asia/Tokyo"}, OnLost: 3}}},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	c := Config{MaxHold: NoHold}.withDefaults()
	s := &service{limiter: newFake(f), limits: newLimits(), turns: newTurns(c), log: c.Log}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m pb.CheckAllRequest
		if proto.Unmarshal(b, &m) != nil {
			return
		}
		got, err := s.CheckAll(t.Context(), &m)
		if code := status.Code(err); code != codes.OK && code != codes.InvalidArgument {
			t.Errorf("CheckAll(%v): %v, want a decision or InvalidArgument", &m, err)
		}
		if err == nil && len(got.GetChecks()) != len(m.GetChecks()) {
			t.Errorf("CheckAll(%v): %v, want a decision for each", &m, got)
		}
		for _, one := range m.GetChecks() {
			if _, err := s.Check(t.Context(), one); err != nil && status.Code(err) != codes.InvalidArgument {
				t.Errorf("Check(%v): %v, want a decision or InvalidArgument", one, err)
			}
		}
	})
}
