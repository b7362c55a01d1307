package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
)

// post asks h for path with body.
func post(h http.Handler, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// transcript returns a request and its answer as text.
func transcript(ask string, w *httptest.ResponseRecorder) string {
	var b strings.Builder
	fmt.Fprintf(&b, "> %s\n%d\n", ask, w.Code)
	for _, name := range slices.Sorted(maps.Keys(w.Header())) {
		fmt.Fprintf(&b, "%s: %s\n", name, strings.Join(w.Header()[name], "\n"))
	}
	fmt.Fprintf(&b, "\n%s", w.Body)
	return b.String()
}

// The answers of the outward contract, to the byte.
func TestHTTPGolden(t *testing.T) {
	for _, c := range []struct {
		name   string
		bodies []string // asked one after the other
	}{
		{"allowed", []string{`{"key":"user:42","limit":"100/s burst 200","cost":1}`}},
		{"denied", []string{
			`{"key":"user:42","limit":"5/m","cost":4}`,
			`{"key":"user:42","limit":"5/m","cost":4}`,
		}},
		{"denied-name", []string{
			`{"key":"user:42","limit":"1/m","name":"free tier"}`,
			`{"key":"user:42","limit":"1/m","name":"free tier"}`,
		}},
		{"denied-never", []string{
			`{"key":"user:42","limit":"quota 3","cost":3}`,
			`{"key":"user:42","limit":"quota 3"}`,
		}},
		{"cost-above-burst", []string{`{"checks":[{"key":"ip:1","limit":"9/s"},{"key":"user:42","limit":"5/s","cost":6}]}`}},
		{"peek", []string{
			`{"key":"user:42","limit":"5/s","cost":5}`,
			`{"key":"user:42","limit":"5/s","cost":0}`,
		}},
		{"id", []string{
			`{"key":"user:42","limit":"5/m","id":"r-1"}`,
			`{"key":"user:42","limit":"5/m","id":"r-1"}`,
		}},
		{"defaults", []string{`{"limit":"100/s","key":"user:42"}`}},
		{"all-fields", []string{`{"name":"n","key":"user:42","limit":"window 100 per 1m","cost":7,"id":"x",` +
			`"durability":"sync","on_lost":"deny","cold_start":"empty"}`}},
		{"many-allowed", []string{`{"checks":[{"key":"ip:1","limit":"100/s"},{"key":"user:42","limit":"20/m","cost":5,"name":"user"}]}`}},
		{"many-one", []string{`{"checks":[{"key":"ip:1","limit":"100/s"}]}`}},
		{"many-denied", []string{
			`{"key":"user:42","limit":"2/m","cost":2}`,
			`{"key":"all","limit":"quota 9 per hour","cost":9}`,
			`{"checks":[{"key":"ip:1","limit":"100/s"},{"key":"user:42","limit":"2/m"},{"key":"all","limit":"quota 9 per hour"}]}`,
		}},
		{"many-denied-never", []string{
			`{"key":"user:42","limit":"2/m","cost":2}`,
			`{"key":"all","limit":"quota 2","cost":2}`,
			`{"checks":[{"key":"user:42","limit":"2/m"},{"key":"all","limit":"quota 2"}]}`,
		}},
		{"odd-names", []string{
			`{"key":"a\"b\\c\u00e9%\u0001\ud83d\ude00","limit":"1/h"}`,
			`{"key":"a\"b\\c\u00e9%\u0001\ud83d\ude00","limit":"1/h"}`,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := NewHTTP(newFake(t), Config{})
				var b strings.Builder
				for _, body := range c.bodies {
					b.WriteString(transcript(body, post(h, PathCheck, body)))
				}
				golden(t, "http/"+c.name, b.String())
			})
		})
	}
}

// Bad input gets 400 and a sentence that says what was wrong, where, and what would be right. Nothing is asked of the
// limiter.
func TestHTTPBadInput(t *testing.T) {
	long := strings.Repeat("k", 513)
	check := func(fields string) string { return `{"key":"k","limit":"1/s",` + fields + `}` }
	many := func(n int) string {
		return `{"checks":[` + strings.TrimSuffix(strings.Repeat(`{"key":"k","limit":"1/s"},`, n), ",") + `]}`
	}
	var b strings.Builder
	f := newFake(t)
	h := NewHTTP(f, Config{})
	for _, body := range []string{
		// the body
		``, ` `, `null`, `[]`, `"x"`, `{`, `{"key"`, `{"key":`, `{"key":"k"`, `{"key":"k",}`, `{,}`, `{key:"k"}`, `{"key" "k"}`,
		"\xef\xbb\xbf{}", check(`"cost":1`) + `x`, check(`"cost":1`) + `{}`, `{'key':'k'}`,
		// fields
		`{}`, `{"key":"k"}`, `{"limit":"1/s"}`, check(`"kee":1`), check(`"onLost":"deny"`), check(`"Cost":1`), check(`"burst":1`),
		check(`"durabilty":"sync"`), check(`"key":"k"`), check(`"checks":[]`), check("\"" + long + "\":1"),
		// key
		`{"key":"","limit":"1/s"}`, `{"key":"` + long + `","limit":"1/s"}`, `{"key":1,"limit":"1/s"}`, `{"key":null,"limit":"1/s"}`,
		"{\"key\":\"a\xff\",\"limit\":\"1/s\"}", "{\"key\":\"a\\n\xc3\",\"limit\":\"1/s\"}", `{"key":"\ud800","limit":"1/s"}`,
		`{"key":"\udc00\ud800","limit":"1/s"}`, `{"key":"\x","limit":"1/s"}`, `{"key":"\u12g4","limit":"1/s"}`,
		"{\"key\":\"a\nb\",\"limit\":\"1/s\"}", `{"key":"k`, `{"key":"k\`, `{"key":"k\u12`,
		// limit
		`{"key":"k","limit":""}`, `{"key":"k","limit":100}`, `{"key":"k","limit":null}`, `{"key":"k","limit":"1/fortnight"}`,
		`{"key":"k","limit":"1/s brust 5"}`, `{"key":"k","limit":"99999999999999999999/s"}`, `{"key":"k","limit":"1/s burst 2000000000"}`,
		`{"key":"k","limit":"0/s"}`, `{"key":"k","limit":"-1/s"}`, `{"key":"k","limit":"1.5/s"}`, `{"key":"k","limit":"quota 5 per month in Atlantis/City"}`,
		`{"key":"k","limit":"` + strings.Repeat("1", 100000) + `/s"}`,
		// cost
		check(`"cost":-1`), check(`"cost":1000000001`), check(`"cost":99999999999999999999`), check(`"cost":1.5`), check(`"cost":1e3`),
		check(`"cost":01`), check(`"cost":"1"`), check(`"cost":null`), check(`"cost":true`), check(`"cost":-`), check(`"cost":{}`),
		check(`"cost":2`), `{"cost":13,"limit":"1/s burst 5 queue 7","key":"k"}`, `{"checks":[{"key":"k","limit":"quota 5","cost":6}]}`,
		check(`"cost":-99999999999999999999`),
		// words
		check(`"durability":"asink"`), check(`"durability":"async "`), check(`"on_lost":"Share"`), check(`"on_lost":1`), check(`"cold_start":"half"`), check(`"cold_start":""`),
		// id and name
		check(`"id":"` + long + `"`), check(`"name":"` + long + `"`), check(`"id":7`),
		// checks
		`{"checks":[]}`, `{"checks":{}}`, `{"checks":[1]}`, `{"checks":[{}]}`, `{"checks":[{"key":"k","limit":"1/s"},{"key":"k"}]}`,
		`{"checks":[{"key":"k","limit":"1/s"},{"key":"k","limit":"1/s","cost":-1}]}`, `{"checks":[{"key":"k","limit":"1/s","checks":[]}]}`,
		`{"checks":[{"key":"k","limit":"1/s"}],"key":"k"}`, `{"checks":[{"key":"k","limit":"1/s"}],"checks":[]}`, `{"checks":[{"key":"k","limit":"1/s"}`,
		`{"checks":[{"key":"k","limit":"1/s"},]}`, `{"checks":[{"key":"k","limit":"1/s"},{"key":"k","limit":"2/s"}]}`, many(1001),
	} {
		before := len(f.requests())
		w := post(h, PathCheck, body)
		var p struct {
			Status int
			Detail string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != http.StatusBadRequest || p.Status != w.Code ||
			w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("POST %q: %d %v %s, want 400 and a problem", clip(body), w.Code, w.Header(), w.Body)
		}
		fmt.Fprintf(&b, "%s\n\t%s\n", strings.ToValidUTF8(clip(body), "?"), ours(p.Detail))
		if got := len(f.requests()) - before; got != 0 && !strings.Contains(p.Detail, bucket.ErrConflict.Error()) {
			t.Errorf("POST %q: limiter was asked %d times, want 0", clip(body), got)
		}
	}
	golden(t, "http-bad-input", b.String())
}

// What is just within the bounds is fine.
func TestHTTPBounds(t *testing.T) {
	key := strings.Repeat("é", 256)
	checks := make([]string, MaxChecks)
	for i := range checks {
		checks[i] = fmt.Sprintf(`{"key":"%s%04d","limit":"1/s burst 5","id":"%064d","name":"%064d"}`, key[:508], i, i, i)
	}
	for _, body := range []string{
		`{"key":"` + key + `","limit":"1/s"}`,
		"\t{ \"key\" :\r\n\"k\" , \"limit\":\"1/s\" } \n",
		`{"key":"k","limit":"1000000000/s","cost":1000000000}`,
		`{"key":"k","limit":"1/s","cost":-0}`,
		`{"key":"\"\\\/\b\f\n\r\t\u0041\u00e9\uD83D\uDE00","limit":"1\/s"}`,
		`{"k\u0065y":"k","limit":"1/s"}`,
		`{"key":"k","limit":"1/s","name":"` + strings.Repeat("n", MaxName) + `","id":"` + strings.Repeat("i", bucket.MaxID) + `"}`,
		`{"checks":[` + strings.Join(checks, ",") + `]}`,
	} {
		if w := post(NewHTTP(newFake(t), Config{}), PathCheck, body); w.Code != http.StatusOK {
			t.Errorf("POST %q: %d %s, want 200", clip(body), w.Code, w.Body)
		}
	}
}

// Every field reaches the limiter as it was asked.
func TestHTTPAsks(t *testing.T) {
	f := newFake(t)
	post(NewHTTP(f, Config{}), PathCheck, `{"checks":[
		{"key":"\u00e9","limit":"100/s burst 200","cost":3,"id":"x","durability":"none","on_lost":"allow","cold_start":"empty"},
		{"key":"b","limit":"quota 10 per day","durability":"sync","on_lost":"deny","cold_start":"full"},
		{"key":"c","limit":"1/s","durability":"async","on_lost":"share"}]}`)
	want := []bucket.Request{
		{
			Key: "é", Limit: bucket.Limit{Tokens: 100, Per: time.Second, Burst: 200}, Cost: 3, ID: "x",
			Durability: bucket.Ephemeral, OnLost: bucket.Allow, ColdStart: bucket.Empty,
		},
		{Key: "b", Limit: bucket.Limit{Burst: 10, Window: bucket.Day}, Cost: 1, Durability: bucket.Sync, OnLost: bucket.Deny},
		{Key: "c", Limit: bucket.Limit{Tokens: 1, Per: time.Second, Burst: 1}, Cost: 1},
	}
	if diff := cmp.Diff(f.requests(), want); diff != "" {
		t.Errorf("the limiter was asked (-got +want):\n%s", diff)
	}
}

// What is not a check gets the status that HTTP has for it.
func TestHTTPStatuses(t *testing.T) {
	const ok = `{"key":"k","limit":"1/s"}`
	for _, c := range []struct {
		method, path, body string
		header             http.Header
		err                error
		want               int
		with               string // a header of the answer and its value
	}{
		{method: "POST", path: "/v1/check", body: ok, header: http.Header{"Content-Type": {"application/json; charset=UTF-8"}}, want: 200},
		{method: "POST", path: "/v1/check", body: ok, want: 200},
		{method: "GET", path: "/v1/check", want: 405, with: "Allow: POST"},
		{method: "DELETE", path: "/v1/reset", want: 405, with: "Allow: POST"},
		{method: "POST", path: "/v1/status", want: 405, with: "Allow: GET, HEAD"},
		{method: "GET", path: "/v1/status", want: 200, with: "Content-Type: application/json"},
		{method: "HEAD", path: "/v1/status", want: 200},
		{method: "GET", path: "/v1/nothing", want: 404},
		{method: "POST", path: "/v1/check/", body: ok, want: 404},
		{method: "POST", path: "/v1/check", body: ok, header: http.Header{"Content-Type": {"text/plain"}}, want: 415},
		{method: "POST", path: "/v1/check", body: ok, header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, want: 415},
		{method: "POST", path: "/v1/check", body: ok, header: http.Header{"Content-Type": {"application/json; charset=latin1"}}, want: 415},
		{method: "POST", path: "/v1/check", body: ok, header: http.Header{"Content-Type": {"application/json;;"}}, want: 415},
		{method: "POST", path: "/v1/check", body: ok, header: http.Header{"Content-Encoding": {"gzip"}}, want: 415},
		{method: "POST", path: "/v1/check", body: strings.Repeat(" ", MaxBody) + ok, want: 413},
		{method: "POST", path: "/v1/check", body: strings.Repeat(" ", MaxBody-len(ok)) + ok, want: 200},
		{method: "POST", path: "/v1/check", body: ok, err: cluster.ErrNotReady, want: 503, with: "Retry-After: 1"},
		{method: "POST", path: "/v1/check", body: ok, err: fmt.Errorf("x: %w", cluster.ErrClosed), want: 503, with: "Retry-After: 1"},
		{method: "POST", path: "/v1/check", body: ok, err: errors.New("secret"), want: 500},
		{method: "POST", path: "/v1/reset", body: `{"key":"k"}`, want: 200},
		{method: "POST", path: "/v1/reset", body: `{"key":"k"}`, err: cluster.ErrNotReady, want: 503},
		{method: "POST", path: "/v1/reset", body: `{}`, want: 400},
		{method: "POST", path: "/v1/reset", body: `{"key":"k","limit":"1/s"}`, want: 400},
		{method: "POST", path: "/v1/reset", body: `{"key":"k","key":"k"}`, want: 400},
		{method: "POST", path: "/v1/reset", body: `{"key":"k"} x`, want: 400},
	} {
		f := newFake(t)
		f.fail(c.err)
		r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
		maps.Copy(r.Header, c.header)
		w := httptest.NewRecorder()
		NewHTTP(f, Config{}).ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s %s %q %v: %d %s, want %d", c.method, c.path, clip(c.body), c.header, w.Code, w.Body, c.want)
		}
		if name, value, _ := strings.Cut(c.with, ": "); w.Header().Get(name) != value {
			t.Errorf("%s %s: %s is %q, want %q", c.method, c.path, name, w.Header().Get(name), value)
		}
		if strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s %s: the answer tells an error that is not in the table: %s", c.method, c.path, w.Body)
		}
		if kind := w.Header().Get("Content-Type"); w.Code >= 400 && kind != "application/problem+json" {
			t.Errorf("%s %s: %d as %s, want a problem", c.method, c.path, w.Code, kind)
		}
	}
}

// A reset bucket is full again.
func TestHTTPReset(t *testing.T) {
	h := NewHTTP(newFake(t), Config{})
	const body = `{"key":"k","limit":"1/h"}`
	for i, want := range []int{200, 429, 200} {
		if i == 2 {
			post(h, PathReset, `{"key":"k"}`)
		}
		if w := post(h, PathCheck, body); w.Code != want {
			t.Errorf("check %d: %d, want %d", i, w.Code, want)
		}
	}
}

// The status is cluster.Status as it is.
func TestHTTPStatus(t *testing.T) {
	f := newFake(t)
	w := httptest.NewRecorder()
	NewHTTP(f, Config{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, PathStatus, nil))
	var got cluster.Status
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, f.Status()); diff != "" {
		t.Errorf("GET %s (-got +want):\n%s", PathStatus, diff)
	}
}

// An admitted request that has to wait is answered when its turn comes. What the server does not wait for is told.
func TestHTTPDelay(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := NewHTTP(newFake(t), Config{MaxHold: 2 * time.Second})
		for i, want := range []struct {
			cost int
			took time.Duration
			says string
		}{
			{3, 0, `"reset_after_ms":3000`},
			{1, time.Second, `"reset_after_ms":3000`}, // 4000 when it was decided on
			{1, time.Second, `"reset_after_ms":3000`},
			{3, 0, `"delay_ms":3000`},
		} {
			start := time.Now()
			w := post(h, PathCheck, fmt.Sprintf(`{"key":"k","limit":"1/s burst 3 queue 50","cost":%d}`, want.cost))
			if took := time.Since(start); w.Code != 200 || took != want.took || !strings.Contains(w.Body.String(), want.says) ||
				i < 3 && strings.Contains(w.Body.String(), "delay_ms") {
				t.Errorf("check %d: %d after %v, want 200 after %v with %q: %s", i, w.Code, took, want.took, want.says, w.Body)
			}
		}
	})
}
