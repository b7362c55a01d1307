package e2e

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/noriahq/noria/e2e/harness"
)

// secret is the API key of the only user.
const secret = "sk-e2e-3f2a"

// chatModel is an upstream that streams answers of random length in OpenAI's dialect and counts the tokens that it has sent.
type chatModel struct {
	*httptest.Server
	sent atomic.Int64
}

// answers has a token in each event, at most max_tokens of them, and a usage that says so. The prompt counts one.
func newModel(t *testing.T) *chatModel {
	m := &chatModel{}
	m.Server = httptest.NewServer(http.HandlerFunc(m.answer))
	t.Cleanup(m.Close)
	return m
}

func (m *chatModel) answer(w http.ResponseWriter, r *http.Request) {
	var call struct {
		Most int64 `json:"max_tokens"`
	}
	if err := json.NewDecoder(r.Body).Decode(&call); err != nil || call.Most < 1 {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	m.sent.Add(1)
	w.Header().Set("Content-Type", "text/event-stream")
	n := 1 + rand.Int64N(call.Most)
	const pieces = 8
	for i := range int64(pieces) {
		some := n*(i+1)/pieces - n*i/pieces
		m.sent.Add(some)
		for range some {
			// Four bytes are a token by the gateway's rule, which counts where a stream breaks.
			_, _ = fmt.Fprint(w, `data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"abcd"}}]}`+"\n\n")
		}
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-time.After(time.Duration(rand.IntN(20)) * time.Millisecond):
		case <-r.Context().Done():
			return
		}
	}
	_, _ = fmt.Fprintf(w, `data: {"object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":%d,"total_tokens":%d}}`+"\n\ndata: [DONE]\n\n", n, n+1)
}

// policyFile writes a configuration with the policy in text and the key file that it may name as KEYS, and returns its path.
func policyFile(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	sum := sha256.Sum256([]byte(secret))
	keys := filepath.Join(dir, "keys.yaml")
	write(t, keys, fmt.Sprintf("keys:\n  - {sha256: %s, id: ann, tier: pro}\n", hex.EncodeToString(sum[:])))
	path := filepath.Join(dir, "noria.yaml")
	write(t, path, strings.ReplaceAll(text, "KEYS", keys))
	return path
}

// write writes a file.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Streams of one user through three gateways, 200 at once, while a node joins and one is killed: the tokens that the model
// sends never pass the user's quota, and in the end no reservation is outstanding.
func TestTokensThroughChange(t *testing.T) {
	const quota, most = 100_000, 300
	up := newModel(t)
	o := patient()
	o.Args = append(o.Args, "--config", policyFile(t, fmt.Sprintf(`
identities:
  keys: {file: KEYS}
limits:
  tokens: {key: [identity.id], unit: llm_tokens, tiers: {pro: quota %d}, durability: sync}
routes:
  chat: {path: /v1, kind: openai, upstreams: [%q], limits: [tokens]}
`, quota, up.URL)))
	fleet := harness.Start(t, 3, o)
	s := &streams{t: t, most: most}
	for _, n := range fleet.Alive() {
		s.join(n)
	}
	var callers sync.WaitGroup
	for range 200 {
		callers.Go(s.run)
	}
	for up.sent.Load() < quota/5 && s.wrong() == "" {
		time.Sleep(10 * time.Millisecond)
	}
	s.join(fleet.Join("d"))
	for up.sent.Load() < quota/2 && s.wrong() == "" {
		time.Sleep(10 * time.Millisecond)
	}
	b := fleet.Node("b")
	s.drop(b)
	before := s.broken.Load()
	b.Kill()
	callers.Wait()
	if why := s.wrong(); why != "" {
		t.Fatal(why)
	}
	lost := s.broken.Load() - before
	spent := up.sent.Load()
	t.Logf("%d tokens sent in %d streams, %d broken by the kill", spent, s.whole.Load(), lost)
	if spent > quota {
		t.Errorf("%d tokens were spent of %d", spent, quota)
	}
	s.settled(fleet)
	// What is left is what was not spent, but for streams that the killed node had: their reservations stay spent.
	left, unsettled := s.left(fleet.Alive()[0]), (lost+50)*(most+10)
	if left > quota-spent || left < quota-spent-unsettled {
		t.Errorf("%d tokens are left of %d after %d were spent, want at most %d fewer than the rest", left, quota, spent, unsettled)
	}
}

// left returns how many tokens there are, by asking for more than there ever are.
func (s *streams) left(n *harness.Node) (tokens int64) {
	s.t.Helper()
	body := `{"model":"m","max_tokens":10000000,"messages":[{"role":"user","content":"hi"}]}`
	r, err := http.NewRequestWithContext(bounded(s.t), http.MethodPost, "http://"+n.Addr.HTTP+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+secret)
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer a.Body.Close()
	if _, err := fmt.Sscan(a.Header.Get("X-RateLimit-Remaining-Tokens"), &tokens); err != nil || a.StatusCode != http.StatusTooManyRequests {
		s.t.Fatalf("more than there ever is: %s %v, %v", a.Status, a.Header, err)
	}
	return tokens
}

// streams are callers that stream answers until the quota is used up.
type streams struct {
	t             *testing.T
	most          int
	whole, broken atomic.Int64

	mu    sync.Mutex
	urls  []string // guarded by mu
	error string   // guarded by mu
}

// join has callers ask n too.
func (s *streams) join(n *harness.Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.urls = append(s.urls, "http://"+n.Addr.HTTP)
}

// drop has callers ask n no more.
func (s *streams) drop(n *harness.Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.urls[:0]
	for _, u := range s.urls {
		if u != "http://"+n.Addr.HTTP {
			kept = append(kept, u)
		}
	}
	s.urls = kept
}

// wrong returns the first thing that is, "" for nothing.
func (s *streams) wrong() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.error
}

// fail notes that something is wrong.
func (s *streams) fail(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.error == "" {
		s.error = fmt.Sprintf(format, args...)
	}
}

// run streams until the quota is used up, or something is wrong.
func (s *streams) run() {
	client := &http.Client{Transport: &http.Transport{IdleConnTimeout: 2 * time.Second}}
	defer client.CloseIdleConnections()
	ctx := bounded(s.t)
	for s.wrong() == "" {
		if ctx.Err() != nil {
			s.fail("the quota is not used up after %v", 2*harness.Hang)
			return
		}
		s.mu.Lock()
		url := s.urls[rand.IntN(len(s.urls))]
		s.mu.Unlock()
		if s.stream(ctx, client, url) {
			return
		}
	}
}

// stream asks for one answer and reads it. It says whether the quota is used up.
func (s *streams) stream(ctx context.Context, client *http.Client, url string) (over bool) {
	body := fmt.Sprintf(`{"model":"m","stream":true,"max_tokens":%d,"messages":[{"role":"user","content":"hi"}]}`, s.most)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		s.fail("%v", err)
		return true
	}
	r.Header.Set("Authorization", "Bearer "+secret)
	r.Header.Set("Content-Type", "application/json")
	a, err := client.Do(r)
	if err != nil {
		s.broken.Add(1) // of a node that was killed
		return false
	}
	defer a.Body.Close()
	switch {
	case a.StatusCode == http.StatusOK:
		s.read(a.Body)
		return false
	case a.StatusCode == http.StatusTooManyRequests && a.Header.Get("X-RateLimit-Type") == "tokens":
		if a.Header.Get("X-Should-Retry") != "false" {
			s.fail("a quota that is used up was denied without x-should-retry: false: %v", a.Header)
		}
		return true
	case strings.HasPrefix(a.Header.Get("X-RateLimit-Type"), "degraded-"):
		time.Sleep(20 * time.Millisecond) // until the lost holder is replaced
		return false
	}
	told, _ := io.ReadAll(a.Body)
	s.fail("%s: %s %v %s", url, a.Status, a.Header, told)
	return true
}

// read reads a stream to its end.
func (s *streams) read(body io.Reader) {
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		if lines.Text() == "data: [DONE]" {
			s.whole.Add(1)
			return
		}
		if strings.Contains(lines.Text(), `"usage"`) {
			s.fail("a client that did not ask for usage got %s", lines.Text())
		}
	}
	s.broken.Add(1)
}

// settled waits until no node has reservations outstanding.
func (s *streams) settled(fleet *harness.Fleet) {
	s.t.Helper()
	for end := time.Now().Add(harness.Hang); ; time.Sleep(100 * time.Millisecond) {
		left := 0
		for _, n := range fleet.Alive() {
			now, err := n.Status(s.t.Context())
			if err != nil {
				s.t.Fatal(err)
			}
			left += now.Reservations
		}
		if left == 0 {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("%d reservations are outstanding %v after the last stream", left, harness.Hang)
		}
	}
}
