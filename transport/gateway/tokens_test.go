package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/transport/gateway"
)

// models is a policy for language models: 1,000 tokens an hour for each user.
const models = `
identities:
  header: {id: X-User}
trusted_proxies: [192.0.2.0/24]
limits:
  tokens: {key: [identity.id], unit: llm_tokens, limit: 1000/h}
routes:
  openai: {path: /v1, kind: openai, upstreams: ["http://up"], limits: [tokens]}
  anthropic: {path: /anthropic, kind: anthropic, upstreams: ["http://up"], limits: [tokens]}
`

// chat returns the body of a call with an answer of at most that many tokens.
func chat(most int, more string) string {
	return fmt.Sprintf(`{"model":"m","max_tokens":%d,"messages":[{"role":"user","content":"hi"}]%s}`, most, more)
}

// left returns how many tokens user has.
func (r *rig) left(user string) int64 {
	r.t.Helper()
	res, body := r.do("POST", "/v1/chat/completions", chat(100_000, ""), "X-User", user) // it is denied, and costs nothing
	if res.StatusCode != http.StatusTooManyRequests {
		r.t.Fatalf("a call for 100,000 of 1,000 tokens: %d %s", res.StatusCode, body)
	}
	var n int64
	if _, err := fmt.Sscan(res.Header.Get("X-Ratelimit-Remaining-Tokens"), &n); err != nil {
		r.t.Fatalf("no remaining tokens in %v", res.Header)
	}
	return n
}

// answer is an upstream that answers calls with a usage of that many tokens.
func answer(prompt, completion int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			Stream bool `json:"stream"`
			Usage  struct {
				Include bool `json:"include_usage"`
			} `json:"stream_options"`
		}
		if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		usage := fmt.Sprintf(`"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}`, prompt, completion, prompt+completion)
		if !call.Stream {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"object":"chat.completion","choices":[{"message":{"content":"hello"}}],%s}`, usage)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for range 3 {
			fmt.Fprint(w, `data: {"object":"chat.completion.chunk","choices":[{"delta":{"content":"hello there, "}}]}`+"\n\n")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(time.Second)
		}
		if call.Usage.Include {
			fmt.Fprint(w, `data: {"object":"chat.completion.chunk","choices":[],`+usage+"}\n\n")
		}
		fmt.Fprint(w, "data: [DONE]\n\n")
	})
}

// A call reserves its estimate and pays what the upstream says it came to, in JSON and in a stream.
func TestTokensAreSettled(t *testing.T) {
	for _, more := range []string{"", `,"stream":true`, `,"stream":true,"stream_options":{"include_usage":true}`} {
		bubble.Test(t, func(t *testing.T) {
			r := newRig(t, models, hosts{"up": answer(11, 30)})
			res, body := r.do("POST", "/v1/chat/completions", chat(500, more), "X-User", "ann")
			if res.StatusCode != http.StatusOK || !strings.Contains(body, "hello") {
				t.Fatalf("%d %s", res.StatusCode, body)
			}
			if strings.Contains(body, "usage") == (more == `,"stream":true`) {
				t.Errorf("with %q the client got %s", more, body)
			}
			r.settled()
			if got := r.left("ann"); got != 1000-41 {
				t.Errorf("with %q %d tokens are left of 1000 after 41", more, got)
			}
		})
	}
}

// Calls under way cannot pass the limit together: what they may come to is reserved before.
func TestTokensUnderWay(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := newRig(t, models, hosts{"up": answer(10, 90)})
		var admitted sync.Map
		var calls sync.WaitGroup
		for i := range 100 {
			calls.Go(func() {
				res, err := r.client.Do(r.request("POST", "/v1/chat/completions", chat(100, `,"stream":true`), "X-User", "ann"))
				if err != nil {
					t.Error(err)
					return
				}
				defer res.Body.Close()
				_, _ = io.Copy(io.Discard, res.Body)
				if res.StatusCode == http.StatusOK {
					admitted.Store(i, true)
				}
			})
		}
		calls.Wait()
		r.settled()
		n := 0
		admitted.Range(func(any, any) bool { n++; return true })
		if n < 5 || n > 10 {
			t.Errorf("%d calls of 100 tokens each were admitted at once on 1000", n)
		}
		if got := r.left("ann"); got > int64(1000-100*n)+1 {
			t.Errorf("%d tokens are left after %d calls of 100", got, n)
		}
	})
}

// An upstream's error costs nothing.
func TestTokensOfErrors(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var status atomic.Int64
		r := newRig(t, models, hosts{"up": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if status.Load() == 0 {
				panic(http.ErrAbortHandler)
			}
			w.WriteHeader(int(status.Load()))
			fmt.Fprint(w, `{"error":{}}`)
		})})
		for _, want := range []int64{500, 400, 429, 0} {
			status.Store(want)
			r.do("POST", "/v1/chat/completions", chat(500, ""), "X-User", "ann")
			r.settled()
			if got := r.left("ann"); got != 1000 {
				t.Errorf("after an upstream's %d %d tokens are left of 1000", want, got)
			}
		}
	})
}

// A client that leaves early pays for what it got, and a stream that breaks costs what had passed.
func TestTokensOfBrokenStreams(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := newRig(t, models, hosts{"up": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for {
				fmt.Fprint(w, `data: {"object":"chat.completion.chunk","choices":[{"delta":{"content":"four by four by "}}]}`+"\n\n")
				_ = http.NewResponseController(w).Flush()
				select {
				case <-time.After(time.Second):
				case <-r.Context().Done():
					return
				}
			}
		})})
		ctx, leave := context.WithCancel(t.Context())
		res, err := r.client.Do(r.request("POST", "/v1/chat/completions", chat(500, `,"stream":true`), "X-User", "ann").WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(res.Body)
		for range 10 { // five events of four tokens
			if _, err := lines.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		leave()
		_ = res.Body.Close()
		synctest.Wait()
		r.settled()
		if got := r.left("ann"); got > 1000-20 || got < 1000-60 {
			t.Errorf("%d tokens are left of 1000 after a stream that was left after about 20", got)
		}
	})
}

// A client that cancels a call before its answer begins pays for what went in: the upstream may be at work on it.
func TestTokensOfCanceledCalls(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := newRig(t, models, hosts{"up": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // only then a server sees that its client has gone
			<-r.Context().Done()
		})})
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		long := strings.Repeat("four", 100)
		res, err := r.client.Do(r.request("POST", "/v1/chat/completions", strings.Replace(chat(100, ""), "hi", long, 1), "X-User", "ann").WithContext(ctx))
		if err == nil {
			_ = res.Body.Close()
			t.Fatal("an answer came")
		}
		time.Sleep(time.Second)
		r.settled()
		if got := r.left("ann"); got > 1000-100 || got < 1000-120 {
			t.Errorf("%d tokens are left of 1000 after a call with a prompt of about 100", got)
		}
	})
}

// Where a denial is remembered nobody is asked about the other limits, and the answer says nothing of them.
func TestRememberedDenial(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b")
		r := newRigAt(t, c.Node("a"), threeLayers, hosts{"up": http.HandlerFunc(hello)})
		for i := range 12 { // some of these users' buckets are at the other node
			user := fmt.Sprintf("user-%d", i)
			for range 5 {
				res, _ := r.do("GET", "/", "", "X-User", user, "X-Tier", "free")
				for _, part := range strings.Split(res.Header.Get("RateLimit"), ", ") {
					if strings.HasSuffix(part, ";r=0;t=0") {
						t.Errorf("%s: %d says %q of a limit that nobody was asked about", user, res.StatusCode, part)
					}
				}
			}
		}
	})
}

// A body that is no call is refused with a reason, in the shape that the SDK reads.
func TestBadCalls(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := newRig(t, models, hosts{"up": answer(1, 1)})
		for _, c := range []struct {
			path, body string
			want       int
			says       string
		}{
			{"/v1/chat/completions", `{"model":`, 400, `"invalid_request_error"`},
			{"/v1/chat/completions", `[]`, 400, `"invalid_request_error"`},
			{"/v1/chat/completions", ``, 400, `"invalid_request_error"`},
			{"/anthropic/v1/messages", `nonsense`, 400, `{"type":"error"`},
			{"/v1/chat/completions", strings.Repeat(" ", 11<<20), 413, `"error"`},
		} {
			res, body := r.do("POST", c.path, c.body, "X-User", "ann")
			if res.StatusCode != c.want || !strings.Contains(body, c.says) {
				t.Errorf("POST %s with %.20q: %d %s, want %d with %s", c.path, c.body, res.StatusCode, body, c.want, c.says)
			}
		}
		r.settled()
	})
}

// slots is a policy with room for two requests at once.
const slots = `
limits:
  busy: {key: [route], unit: concurrency, limit: 2}
routes:
  all: {path: /, upstreams: ["http://up"], limits: [busy]}
`

// Of requests at once as many pass as there are slots, and a slot is free as soon as its request has ended, also by the
// client's going.
func TestConcurrency(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := newRig(t, slots, hosts{"up": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		})})
		statuses := make(chan int, 10)
		ask := func(ctx context.Context) {
			res, err := r.client.Do(r.request("GET", "/", "").WithContext(ctx))
			if err != nil {
				statuses <- 0
				return
			}
			_ = res.Body.Close()
			statuses <- res.StatusCode
		}
		ctx, leave := context.WithCancel(t.Context())
		go ask(ctx)
		go ask(t.Context())
		time.Sleep(30 * time.Second) // far beyond the time after which a slot that is not renewed is free
		go ask(t.Context())
		if s := <-statuses; s != http.StatusTooManyRequests {
			t.Errorf("a third request at once: %d, want 429", s)
		}
		leave()
		<-statuses
		time.Sleep(100 * time.Millisecond)
		go ask(t.Context())
		time.Sleep(time.Second)
		close(release)
		if a, b := <-statuses, <-statuses; a != http.StatusOK || b != http.StatusOK {
			t.Errorf("after one has gone: %d and %d, want two that pass", a, b)
		}
		r.settled()
	})
}

// The slots of a gateway that died are free again within ten seconds.
func TestSlotsOfTheDead(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := clustertest.Start(t, "a", "b")
		blocks := hosts{"up": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })}
		dying, other := newRigAt(t, c.Node("a"), slots, blocks), newRigAt(t, c.Node("b"), slots, hosts{"up": http.HandlerFunc(hello)})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for range 2 {
			go func() {
				if res, err := dying.client.Do(dying.request("GET", "/", "").WithContext(ctx)); err == nil {
					_ = res.Body.Close()
				}
			}()
		}
		time.Sleep(20 * time.Second)
		if res, _ := other.do("GET", "/", ""); res.StatusCode != http.StatusTooManyRequests {
			t.Errorf("with both slots taken: %d, want 429", res.StatusCode)
		}
		dying.stop() // nothing is renewed or settled any more
		time.Sleep(10 * time.Second)
		if res, _ := other.do("GET", "/", ""); res.StatusCode != http.StatusOK {
			t.Errorf("10s after the gateway died: %d, want 200", res.StatusCode)
		}
	})
}

// A node is what a gateway asks.
var _ gateway.Limiter = (*cluster.Node)(nil)
