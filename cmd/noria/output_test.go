package main

import (
	"bytes"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/transport/noriapb"
)

// What commands print for people and for programs is what it was.
func TestOutputs(t *testing.T) {
	for name, c := range map[string]struct {
		data any
		text func(*bytes.Buffer)
	}{
		"check-allowed": outputOf(checkAnswer(true)),
		"check-denied":  outputOf(checkAnswer(false)),
		"check-all":     outputOf(allAnswer()),
		"status":        {aStatus(), func(w *bytes.Buffer) { statusText(false, aStatus())(w) }},
		"ring":          {aRing(false), func(w *bytes.Buffer) { aRing(false).text(w) }},
		"ring-keys":     {aRing(true), func(w *bytes.Buffer) { aRing(true).text(w) }},
		"bench":         {aReport(), func(w *bytes.Buffer) { aReport().text(w) }},
		"version":       {aVersion(), func(w *bytes.Buffer) { aVersion().text(w) }},
	} {
		var text, data bytes.Buffer
		c.text(&text)
		if err := (output{format: "json"}).print(&data, c.data, nil); err != nil {
			t.Fatal(err)
		}
		golden(t, "output/"+name+".txt", text.String())
		golden(t, "output/"+name+".json", data.String())
	}
}

// outputOf returns what check prints of a.
func outputOf(checks []*noriapb.CheckRequest, a *noriapb.CheckAllResponse) struct {
	data any
	text func(*bytes.Buffer)
} {
	return struct {
		data any
		text func(*bytes.Buffer)
	}{answerJSON(checks, a), func(w *bytes.Buffer) { answerText(false, checks, a)(w) }}
}

func checkAnswer(allowed bool) ([]*noriapb.CheckRequest, *noriapb.CheckAllResponse) {
	one := &noriapb.CheckResponse{Allowed: allowed, Node: "a", Source: noriapb.Source_SOURCE_HOLDER, ResetAfterNs: int64(90 * time.Second)}
	all := &noriapb.CheckAllResponse{Allowed: allowed, Checks: []*noriapb.CheckResponse{one}}
	if allowed {
		one.Remaining, one.DelayNs, all.DelayNs = 1_999, 1_500_000, 1_500_000
	} else {
		one.RetryAfterNs, all.RetryAfterNs, all.DeniedBy = int64(1234567*time.Microsecond), int64(1234567*time.Microsecond), "user:42"
	}
	return []*noriapb.CheckRequest{{Key: "user:42", Limit: "100/s burst 2000"}}, all
}

func allAnswer() ([]*noriapb.CheckRequest, *noriapb.CheckAllResponse) {
	return []*noriapb.CheckRequest{{Key: "user:42", Limit: "100/s"}, {Key: "global", Limit: "quota 10"}}, &noriapb.CheckAllResponse{
		DeniedBy: "global", RetryAfterNs: -1,
		Checks: []*noriapb.CheckResponse{
			{Allowed: true, Remaining: 99, Node: "a", Source: noriapb.Source_SOURCE_LEASE},
			{RetryAfterNs: -1, ResetAfterNs: -1, Node: "b", Source: noriapb.Source_SOURCE_DENIAL},
		},
	}
}

func aStatus() cluster.Status {
	return cluster.Status{
		Node: "a", Role: cluster.RoleHolder, Ready: true, Label: "noria", Epoch: "00ff", Ring: "v1", Partitions: 8_000, Keys: 1_234_567, Evicted: 1, Degraded: 2,
		Policy: "00000000000000f0", Policies: 2, Reservations: 12,
		Uptime: 26*time.Hour + 3*time.Minute, Members: []cluster.MemberStatus{
			{ID: "a", Role: cluster.RoleHolder, Peer: "10.0.0.1:7947", Gossip: "10.0.0.1:7946", Partitions: 8_000, Policy: "00000000000000f0", Self: true},
			{ID: "b", Role: cluster.RoleHolder, Peer: "10.0.0.2:7947", Gossip: "10.0.0.2:7946", Partitions: 8_384},
			{ID: "g", Role: cluster.RoleGateway, Peer: "10.0.0.3:7947", Gossip: "10.0.0.3:7946"},
		},
	}
}

func aRing(keys bool) ringAnswer {
	a := ringAnswer{Node: "a", Epoch: "00ff", Ring: "v1", Members: []share{{"a", 8_000}, {"b", 8_384}}}
	if keys {
		a.Keys = []place{{"user:42", 77, "a", "b", "b", 3}, {"x", 16_383, "b", "b", "", 1}}
	}
	return a
}

func aReport() report {
	return report{
		Targets: []string{"grpc://127.0.0.1:8081"}, Loop: "open", Concurrency: 1, Rate: 5_000, Batch: 2, Keys: 10, Dist: "zipf",
		Limit: "100/s", Cost: 1, Seconds: 10, Requests: 50_000, RequestsPerSec: 4_999.5, ChecksPerSec: 9_999, Allowed: 40_000,
		Denied: 9_995, Degraded: 7, Errors: 5, ErrorKinds: map[string]int64{"Unavailable": 4, "DeadlineExceeded": 1}, NotStarted: 1_000,
		Latency: latency{Mean: 210.5, Min: 90, P50: 180, P90: 320, P99: 1_250, P999: 12_500, Max: 1_500_000},
	}
}

func aVersion() version {
	return version{Version: "v1.2.3", Commit: "0123abcd", Modified: true, Date: "2026-01-02T03:04:05Z", Go: "go1.26.0", Platform: "linux/amd64", Protocol: 5, Oldest: 4}
}

// A binary says what it was made of, as far as it knows.
func TestVersionOf(t *testing.T) {
	info := &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"},
	}}
	if got := versionOf(info, true); got.Version != "v1.2.3" || got.Commit != "abc" || !got.Modified || got.Protocol != cluster.Protocol || got.Oldest != cluster.OldestProtocol {
		t.Errorf("version is %+v", got)
	}
	if got := versionOf(nil, false); got.Version != "(devel)" || got.Commit != "" || got.Go == "" {
		t.Errorf("version without information is %+v", got)
	}
}

// Colour is for terminals alone, and not for those who do not want it.
func TestPaint(t *testing.T) {
	p := &process{env: map[string]string{}}
	if p.paint(new(bytes.Buffer)) {
		t.Error("a buffer gets colour")
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if p.paint(f) {
		t.Errorf("%s gets colour", os.DevNull)
	}
	if got := paint(true).red("x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("red is %q", got)
	}
	if got := paint(false).red("x"); got != "x" {
		t.Errorf("without colour red is %q", got)
	}
	for name, env := range map[string]string{"NO_COLOR": "1", "TERM": "dumb"} {
		tty := &process{env: map[string]string{name: env}}
		if tty.coloured() {
			t.Errorf("%s=%s is not obeyed", name, env)
		}
	}
}

func TestLasting(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 1234: "1.234µs", 1234567: "1.23ms", 1234567890: "1.23s", 90 * time.Second: "1m30s", time.Hour: "1h",
		25*time.Hour + time.Second: "25h0m1s", bucket.Never: "never",
	} {
		if got := lasting(d); got != want {
			t.Errorf("lasting(%d) is %q, want %q", d, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234", -999: "-999"} {
		if got := count(n); got != want {
			t.Errorf("count(%d) is %q, want %q", n, got, want)
		}
	}
}

// The log for people is not JSON, and levels are obeyed.
func TestLogging(t *testing.T) {
	var b bytes.Buffer
	var l logging
	if err := addedLogging(&l, "--log-format", "text", "--log-level", "warn"); err != nil {
		t.Fatal(err)
	}
	log := l.logger(&b)
	log.Info("quiet")
	log.Warn("loud")
	if got := b.String(); strings.Contains(got, "quiet") || !strings.Contains(got, "level=WARN msg=loud") {
		t.Errorf("log is %q", got)
	}
}

// addedLogging reads args into l.
func addedLogging(l *logging, args ...string) error {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	addLogging(section{flags: flags, name: "log"}, l, "info", "json")
	return flags.Parse(args)
}
