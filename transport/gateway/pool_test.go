package gateway_test

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noriahq/noria/cluster/clustertest/bubble"
)

// An upstream that is down is passed over, and the request goes to another one, whatever its method: it never arrived.
func TestRetries(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := newRig(t, `
routes:
  all: {path: /, upstreams: ["http://down", "http://up"]}
`, hosts{"down": nil, "up": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })})
		for range 10 {
			if res, body := r.do("POST", "/", "all of it"); res.StatusCode != http.StatusOK || body != "all of it" {
				t.Errorf("POST: %d %q, want the body back", res.StatusCode, body)
			}
		}
	})
}

// What reached an upstream and was not answered is sent again only if it changes nothing.
func TestNoRetryOfWhatMayHaveHappened(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		r := newRig(t, `
routes:
  all: {path: /, upstreams: ["http://up"], retries: 2}
`, hosts{"up": http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			asked.Add(1)
			panic(http.ErrAbortHandler)
		})})
		if res, _ := r.do("POST", "/", "pay"); res.StatusCode != http.StatusBadGateway || asked.Load() != 1 {
			t.Errorf("POST: %d after %d attempts, want 502 after one", res.StatusCode, asked.Load())
		}
		asked.Store(0)
		if res, _ := r.do("GET", "/", ""); res.StatusCode != http.StatusBadGateway || asked.Load() != 3 {
			t.Errorf("GET: %d after %d attempts, want 502 after three", res.StatusCode, asked.Load())
		}
	})
}

// An upstream whose health check fails gets no requests while another one is well, and again once it is well.
func TestHealth(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var well atomic.Bool
		var asked atomic.Int64
		r := newRig(t, `
routes:
  all: {path: /, upstreams: ["http://one", "http://two"], health: {path: /up, interval: 1s, timeout: 1s}}
`, hosts{
			"one": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path != "/up":
					asked.Add(1)
				case !well.Load():
					w.WriteHeader(http.StatusServiceUnavailable)
				}
			}),
			"two": http.HandlerFunc(hello),
		})
		time.Sleep(3 * time.Second)
		for range 10 {
			r.do("GET", "/", "")
		}
		if n := asked.Load(); n != 0 {
			t.Errorf("%d requests went to an upstream that is not well", n)
		}
		well.Store(true)
		time.Sleep(3 * time.Second)
		for range 10 {
			r.do("GET", "/", "")
		}
		if n := asked.Load(); n != 5 {
			t.Errorf("%d of 10 requests went to an upstream that is well again, want 5", n)
		}
	})
}

// Requests go to the upstream that has the fewest under way.
func TestLeastRequests(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		var slow, quick atomic.Int64
		r := newRig(t, `
routes:
  all: {path: /, upstreams: ["http://slow", "http://quick"]}
`, hosts{
			"slow":  http.HandlerFunc(func(http.ResponseWriter, *http.Request) { slow.Add(1); <-hold }),
			"quick": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { quick.Add(1) }),
		})
		answered := make(chan struct{})
		for slow.Load() == 0 {
			go func() { r.do("GET", "/", ""); answered <- struct{}{} }()
			time.Sleep(time.Second)
			select {
			case <-answered:
			default:
			}
		}
		before := quick.Load()
		for range 10 {
			r.do("GET", "/", "")
		}
		if slow.Load() != 1 || quick.Load()-before != 10 {
			t.Errorf("%d requests at the upstream that has one under way, %d at the other, want 1 and 10", slow.Load(), quick.Load()-before)
		}
		close(hold)
		<-answered
	})
}
