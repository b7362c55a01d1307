package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/ring"
)

// A fleet is a node whose members say what a test wants them to. What it does not say of itself, a node that does not run does.
type fleet struct {
	*cluster.Node
	asked   atomic.Int64
	reports func(round int64) []cluster.Report
	targets []uint16
}

func newFleet(t *testing.T, reports func(round int64) []cluster.Report) *fleet {
	t.Helper()
	n, err := cluster.New(cluster.Config{Name: "a", Transport: clustertest.NewWires(clustertest.NewNet(1)).Transport("h")})
	if err != nil {
		t.Fatal(err)
	}
	return &fleet{Node: n, reports: reports, targets: []uint16{0, 0, 0, 0, 1, 1, 1, 1}}
}

func (f *fleet) Status() cluster.Status {
	s := cluster.Status{Node: "a", Label: "test", Ready: true, Policies: 1}
	for _, r := range f.reports(f.asked.Load()) {
		s.Members = append(s.Members, cluster.MemberStatus{ID: r.Node, Role: cluster.RoleHolder, Partitions: 4, Self: r.Node == "a"})
	}
	return s
}

func (f *fleet) Targets() ([]ring.Member, []uint16) { return []ring.Member{"a", "b"}, f.targets }

func (f *fleet) Reports(_ context.Context, q func(ring.Member) cluster.Question) ([]cluster.Report, error) {
	reports := f.reports(f.asked.Add(1))
	for i := range reports {
		if asked := q(reports[i].Node); asked.Boot == reports[i].Boot { // what it was told already is not told again
			reports[i].Events = nil
		}
	}
	return reports, nil
}

func (f *fleet) Where(string) (cluster.Place, error) {
	return cluster.Place{Partition: 3, Target: "a", Holder: "a", Heir: "b", Term: 1}, nil
}

func (f *fleet) Check(_ context.Context, r bucket.Request) (bucket.Decision, error) {
	return bucket.Decision{Allowed: r.Cost < 5, Remaining: 5 - r.Cost, Node: "b"}, nil
}

// two are two members: each is asked for 100 checks a second, and b takes over what a holds in the third round.
func two(round int64) []cluster.Report {
	past := uint64(time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).Milliseconds()) // since bubbles begin
	a := cluster.Report{
		Node: "a", Boot: 1, Version: "v1", Role: cluster.RoleHolder, Ready: true, Deciding: true, Partitions: 4, Holds: []byte{0b00001111},
		Decisions: cluster.Decisions{Here: cluster.Count{Allowed: past * 75 / 1000, Denied: past * 25 / 1000}},
		Hot:       []cluster.HotKey{{Key: "user:1", Rate: 3}, {Key: "user:2", Rate: 9}},
		Events: []cluster.Event{
			{Seq: 1, Kind: cluster.EventJoined, Member: "b", Members: 2, At: time.Now()},
			{Seq: 2, Kind: cluster.EventHandedOver, Member: "b", Partitions: 4, At: time.Now()},
		},
	}
	b := a
	b.Node, b.Boot, b.Holds = "b", 2, []byte{0b11110000}
	b.Hot = []cluster.HotKey{{Key: "user:1", Rate: 7}}
	b.Events = []cluster.Event{{Seq: 1, Kind: cluster.EventJoined, Member: "a", Members: 2, At: time.Now()}, {Seq: 2, Kind: cluster.EventTakenIn, Member: "a", Partitions: 4, At: time.Now()}}
	if round >= 3 {
		a.Holds, b.Holds, a.Partitions, b.Partitions = nil, []byte{0b11111111}, 0, 8
	}
	return []cluster.Report{a, b}
}

// open returns a console of f that takes everybody for an admin, or nobody.
func open(t *testing.T, f *fleet, admin bool) *Console {
	t.Helper()
	c, err := New(Config{Node: f, Admin: func(*http.Request) bool { return admin }, MaxListeners: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// get asks c for path, and stop ends the request.
func get(c *Console, path string) (answer *httptest.ResponseRecorder, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	w := httptest.NewRecorder()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
	}()
	return w, func() { cancel(); <-done }
}

// said returns the data of the events of that name in a stream.
func said[T any](t *testing.T, stream, name string) (all []T) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^event: `+name+`\ndata: (.*)$`).FindAllStringSubmatch(stream, -1) {
		var one T
		if err := json.Unmarshal([]byte(m[1]), &one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	return all
}

// What the members say becomes one state: rates are what counts have grown by a second, hot keys are summed, and what changed hands
// is a move. The members are asked only as long as somebody looks.
func TestLive(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t, two)
		c := open(t, f, true)
		time.Sleep(time.Minute)
		if got := f.asked.Load(); got != 0 {
			t.Errorf("the members were asked %d times though nobody looks", got)
		}
		w, stop := get(c, "/console/live?back=10")
		time.Sleep(5500 * time.Millisecond)
		stop()
		states := said[State](t, w.Body.String(), "state")
		if len(states) < 4 {
			t.Fatalf("%d states in 5.5 s: %s", len(states), w.Body)
		}
		last := states[len(states)-1]
		if got := last.Rates; got.Allowed < 140 || got.Allowed > 160 || got.Denied < 45 || got.Denied > 55 {
			t.Errorf("rates are %+v, want 150 allowed and 50 denied", got)
		}
		if len(last.Hot) != 2 || last.Hot[0].Key != "user:1" || last.Hot[0].Rate != 10 {
			t.Errorf("hot keys are %+v, want user:1 with 10 a second first", last.Hot)
		}
		if states[1].Moving != 0 || states[2].Moving != 4 || len(states[2].Moves) != 1 || states[2].Moves[0] != (Move{"a", "b", 4}) {
			t.Errorf("as b takes over: %d moving, moves %v, flows %v", states[2].Moving, states[2].Moves, states[2].Flows)
		}
		var kinds []string
		for _, told := range said[[]Told](t, w.Body.String(), "events") {
			for _, e := range told {
				kinds = append(kinds, fmt.Sprintf("%s:%s", e.Node, e.Kind))
			}
		}
		if got := strings.Join(kinds, " "); got != "a:joined a:handed_over b:taken_in" {
			t.Errorf("events are %s, want the membership as a sees it, and what both did", got)
		}
		before := f.asked.Load()
		time.Sleep(linger + 5*time.Second)
		after := f.asked.Load()
		if time.Sleep(time.Minute); f.asked.Load() != after || after == before {
			t.Errorf("asked %d times while somebody looked, %d a while after, %d a minute later", before, after, f.asked.Load())
		}
	})
}

// Who is no admin sees no key, and cannot ask for one; nor can another site's page, or one that does not say that it sends JSON.
func TestKeysAreForAdmins(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		for _, admin := range []bool{false, true} {
			f := newFleet(t, two)
			c := open(t, f, admin)
			w, stop := get(c, "/console/live")
			time.Sleep(2 * time.Second)
			stop()
			if got := strings.Contains(w.Body.String(), "user:1"); got != admin {
				t.Errorf("admin %v: a key is in the stream: %v", admin, got)
			}
			post := func(path, kind, site, body string) int {
				r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
				r.Header.Set("Content-Type", kind)
				r.Header.Set("Sec-Fetch-Site", site)
				w := httptest.NewRecorder()
				c.ServeHTTP(w, r)
				return w.Code
			}
			key, check := `{"key":"user:1"}`, `{"key":"user:1","limit":"10/s","cost":1}`
			if !admin {
				if a, b := post("/console/key", "application/json", "same-origin", key), post("/console/check", "application/json", "same-origin", check); a != 403 || b != 403 {
					t.Errorf("who is no admin is answered %d and %d", a, b)
				}
				c.Close()
				time.Sleep(time.Minute)
				continue
			}
			for want, got := range map[string]int{
				"200 key":         post("/console/key", "application/json", "same-origin", key),
				"200 check":       post("/console/check", "application/json", "same-origin", check),
				"403 other site":  post("/console/check", "application/json", "cross-site", check),
				"415 form":        post("/console/check", "text/plain", "same-origin", check),
				"400 no JSON":     post("/console/check", "application/json", "same-origin", "key"),
				"400 bad limit":   post("/console/check", "application/json", "same-origin", `{"key":"k","limit":"many"}`),
				"400 unknown":     post("/console/key", "application/json", "same-origin", `{"keys":["a"]}`),
				"400 large":       post("/console/key", "application/json", "same-origin", `{"key":"`+strings.Repeat("k", bodyMost)+`"}`),
				"405 no such way": func() int { w, stop := get(c, "/console/key"); synctest.Wait(); stop(); return w.Code }(),
			} {
				if fmt.Sprint(got) != want[:3] {
					t.Errorf("%s: answered %d", want, got)
				}
			}
			c.Close()
			time.Sleep(time.Minute)
		}
	})
}

// A stream ends at once when the console is closed, and says so; more than MaxListeners are refused, until one goes.
func TestStreamsEnd(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := open(t, newFleet(t, two), false)
		one, stopOne := get(c, "/console/live")
		_, stopTwo := get(c, "/console/live?only=events")
		time.Sleep(time.Second)
		three, stopThree := get(c, "/console/live")
		time.Sleep(time.Second)
		if stopThree(); three.Code != 503 || three.Header().Get("Retry-After") == "" {
			t.Errorf("the third of two is answered %d %s", three.Code, three.Body)
		}
		stopTwo()
		four, stopFour := get(c, "/console/state")
		time.Sleep(2 * time.Second)
		if stopFour(); four.Code != 200 || !strings.Contains(four.Body.String(), `"label":"test"`) {
			t.Errorf("with room again: %d %s", four.Code, four.Body)
		}
		began := time.Now()
		c.Close()
		synctest.Wait()
		if stopOne(); time.Since(began) > 0 || len(said[string](t, one.Body.String(), "bye")) != 1 {
			t.Errorf("after Close it took %v, the stream ends with %q", time.Since(began), last(one.Body.String(), 60))
		}
		if bad, stop := get(c, "/console/live?back=many"); true {
			synctest.Wait()
			if stop(); bad.Code != 400 {
				t.Errorf("back=many is answered %d", bad.Code)
			}
		}
	})
}

// A stream to somebody who is an admin no more ends, and says why: the token may have been taken back.
func TestAdminNoMore(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var is atomic.Bool
		is.Store(true)
		c, err := New(Config{Node: newFleet(t, two), Admin: func(*http.Request) bool { return is.Load() }})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for _, path := range []string{"/console/live", "/console/live?only=events"} {
			w, stop := get(c, path)
			time.Sleep(3 * time.Second)
			is.Store(false)
			time.Sleep(heartbeat)
			stop()
			if bye := said[string](t, w.Body.String(), "bye"); len(bye) != 1 || !strings.Contains(bye[0], "token") {
				t.Errorf("%s: the stream ends with %q", path, last(w.Body.String(), 90))
			}
			is.Store(true)
		}
	})
}

func last(s string, n int) string { return s[max(0, len(s)-n):] }

// A member that does not answer is shown, with what it held last; one that goes is shown as gone for a while, and then no more.
func TestSilentAndGone(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFleet(t, func(round int64) []cluster.Report {
			all := two(min(round, 2))
			switch {
			case round >= 6:
				return all[:1]
			case round >= 4:
				all[1] = cluster.Report{Node: "b", Err: "peer did not answer in time", Silent: true}
			}
			return all
		})
		c := open(t, f, false)
		w, stop := get(c, "/console/live")
		time.Sleep(time.Minute)
		stop()
		var health []string
		for _, s := range said[State](t, w.Body.String(), "state") {
			word := "none"
			if len(s.Members) > 1 {
				word = string(s.Members[1].Health)
			}
			if word == string(Silent) && s.Unheld != 0 && strings.Contains(s.Members[1].Why, "in time") {
				t.Errorf("of a silent member's partitions %d are shown as held by nobody", s.Unheld)
			}
			if len(health) == 0 || health[len(health)-1] != word {
				health = append(health, word)
			}
		}
		if got := strings.Join(health, " "); got != "well silent dead none" {
			t.Errorf("b is shown as %s, want well silent dead none", got)
		}
	})
}

// The page is whole: it names no address but its own, has no script or style in it, and all that it names is there.
func TestPage(t *testing.T) {
	c := open(t, newFleet(t, two), false)
	ask := func(path, tag string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("If-None-Match", tag)
		w := httptest.NewRecorder()
		c.ServeHTTP(w, r)
		return w
	}
	page := ask("/console", "")
	if page.Code != 200 || !strings.Contains(page.Header().Get("Content-Security-Policy"), "default-src 'none'; script-src 'self'") {
		t.Fatalf("the page is answered %d with %v", page.Code, page.Header())
	}
	if again := ask("/console", page.Header().Get("ETag")); again.Code != 304 || again.Body.Len() != 0 {
		t.Errorf("asked whether it has changed it says %d", again.Code)
	}
	if regexp.MustCompile(`(?i)<script(?:[^>]*[^e])?>[^<]|<style|\son\w+=|\sstyle=|javascript:`).Match(page.Body.Bytes()) {
		t.Error("the page has a script or a style in it")
	}
	elsewhere := regexp.MustCompile(`(?:https?:)?//[\w.-]+\.\w+`)
	named := regexp.MustCompile(`(?:console/static/|from "\./)([\w.-]+)"`)
	err := fs.WalkDir(files, "static", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := files.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range elsewhere.FindAll(bytes.ReplaceAll(body, []byte("http://www.w3.org/2000/svg"), nil), -1) {
			t.Errorf("%s names %s", path, m)
		}
		if bytes.Contains(body, []byte("innerHTML")) || bytes.Contains(body, []byte("insertAdjacent")) {
			t.Errorf("%s makes markup of text", path)
		}
		for _, m := range named.FindAllSubmatch(body, -1) {
			if w := ask("/console/static/"+string(m[1]), ""); w.Code != 200 {
				t.Errorf("%s names %s, which is answered %d", path, m[1], w.Code)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if w := ask("/console/static/..%2fconsole.go", ""); w.Code == 200 {
		t.Error("a file is served that is none of the page")
	}
}

// Every kind of event has a sentence, which names who and how many.
func TestSentence(t *testing.T) {
	for kind, want := range map[cluster.EventKind]string{
		cluster.EventJoined:     "b joined, 3 members now",
		cluster.EventBack:       "b is back, 3 members now",
		cluster.EventDraining:   "b is leaving and hands over what it holds",
		cluster.EventLeft:       "b left, 3 members now",
		cluster.EventDead:       "b is gone without a word, 3 members now",
		cluster.EventPolicy:     "b goes by policy 00ff",
		cluster.EventTakenIn:    "a took in 16,384 partitions from b",
		cluster.EventHandedOver: "a handed 16,384 partitions to b",
		cluster.EventPromoted:   "a goes on with its replicas of 16,384 partitions whose holder is gone",
		cluster.EventCold:       "a goes on with 16,384 partitions whose holder is gone, without a replica",
		cluster.EventFounded:    "a holds 16,384 partitions that nobody has held before",
		cluster.EventGivenUp:    "a gave up 16,384 partitions: b has them by a higher term",
		cluster.EventFenced:     "a stopped deciding on 16,384 partitions: too few members hear it",
		cluster.EventSilenced:   "a does not decide: too few members hear it",
		cluster.EventHeard:      "a decides again",
	} {
		got := Sentence(cluster.Event{Node: "a", Member: "b", Kind: kind, Members: 3, Partitions: 16384, Policy: "00ff"})
		if got != want {
			t.Errorf("%s: %q, want %q", kind, got, want)
		}
	}
}
