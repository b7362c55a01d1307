package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/noriahq/noria/cluster/clustertest/bubble"
)

// Under a limit with a queue requests wait for their turn, as many as it holds, and the next one is denied.
func TestQueue(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := newRig(t, `
limits:
  calm: {limit: 1/s burst 1 queue 3}
routes:
  all: {path: /, upstreams: ["http://up"], limits: [calm]}
`, hosts{"up": http.HandlerFunc(hello)})
		began := time.Now()
		type answer struct {
			status int
			after  time.Duration
		}
		answers := make(chan answer, 5)
		for range 5 {
			go func() {
				res, err := r.client.Do(r.request("GET", "/", ""))
				if err != nil {
					t.Error(err)
					answers <- answer{}
					return
				}
				_ = res.Body.Close()
				answers <- answer{res.StatusCode, time.Since(began).Round(time.Second)}
			}()
		}
		var denied int
		turns := map[time.Duration]int{}
		for range 5 {
			a := <-answers
			if a.status == http.StatusTooManyRequests {
				denied++
				continue
			}
			turns[a.after]++
		}
		if denied != 1 || turns[0] != 1 || turns[time.Second] != 1 || turns[2*time.Second] != 1 || turns[3*time.Second] != 1 {
			t.Errorf("%d were denied, the others passed %v after the first, want one denied and one each second", denied, turns)
		}
	})
}

// Who would have to wait for longer than the route allows is told when to come back, and so is who finds too many waiting.
func TestQueueOfRoute(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := newRig(t, `
limits:
  calm: {limit: 1/s burst 1 queue 100}
routes:
  all: {path: /, upstreams: ["http://up"], limits: [calm], queue: {wait: 2s, requests: 1}}
`, hosts{"up": http.HandlerFunc(hello)})
		statuses := make(chan int, 2)
		r.do("GET", "/", "")
		go func() {
			res, _ := r.do("GET", "/", "") // waits a second
			statuses <- res.StatusCode
		}()
		time.Sleep(100 * time.Millisecond)
		for _, why := range []string{"somebody waits", "its turn is too late"} {
			res, body := r.do("GET", "/", "")
			if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") == "" || !strings.Contains(body, "queue-full") {
				t.Errorf("where %s: %d %v %s, want 429 with Retry-After", why, res.StatusCode, res.Header, body)
			}
		}
		if s := <-statuses; s != http.StatusOK {
			t.Errorf("the one that waited: %d, want 200", s)
		}
	})
}
