package e2e

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
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
	if least := int64(quota - most - 2 - 200*(most+2)); spent < least {
		t.Errorf("%d tokens were spent of %d, want %d at least: reservations leak", spent, quota, least)
	}
	s.settled(fleet)
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

// A changed file is read while requests pass, without a failed one; SIGHUP reads it too; a variable overrides it; a bad one
// is refused whole. Nodes tell where their policies differ.
func TestReload(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	defer up.Close()
	text := fmt.Sprintf(`
limits:
  all: {limit: 10000000/s}
  few: {limit: 1000/h, when: 'path == "/few"'}
routes:
  web: {path: /, upstreams: [%q], limits: [all, few]}
`, up.URL)
	path := policyFile(t, text)
	o := patient()
	o.Args = append(o.Args, "--config", path)
	o.Env = append(o.Env, "NORIA_LIMITS_FEW_LIMIT=5/h")
	fleet := harness.Start(t, 2, o)
	a, b := fleet.Node("a"), fleet.Node("b")
	stop := make(chan struct{})
	var asking sync.WaitGroup
	var failed atomic.Pointer[string]
	asking.Go(func() {
		client := &http.Client{Transport: &http.Transport{IdleConnTimeout: 2 * time.Second}}
		defer client.CloseIdleConnections()
		for {
			select {
			case <-stop:
				return
			default:
			}
			if status := get(t, client, a, "/"); status != http.StatusOK {
				why := fmt.Sprintf("a request while the policy changes: %d", status)
				failed.CompareAndSwap(nil, &why)
			}
		}
	})
	if n := admitted(t, a, 12); n != 5 {
		t.Errorf("%d of /few admitted, want the 5 of the variable", n)
	}
	write(t, path, strings.Replace(text, "10000000/s", "20000000/s", 1))
	for _, n := range []*harness.Node{a, b} {
		n.FindLine(1, `"msg":"configuration read"`)
	}
	wantPolicies(t, fleet, 1)
	write(t, path, "limits: {all: {limit: many}}\n")
	a.Signal(syscall.SIGHUP)
	a.FindLine(1, `"msg":"configuration refused`)
	if n := admitted(t, a, 3); n != 0 {
		t.Errorf("%d of /few admitted after a bad file, want 0: the bucket owes what it owed", n)
	}
	close(stop)
	asking.Wait()
	if why := failed.Load(); why != nil {
		t.Error(*why)
	}
	c := harness.Serve(t, "c", fleet.Seeds(), nil, append([]string{"--label", fleet.Label()}, "--upstream", up.URL)...)
	c.WaitReady()
	for end := time.Now().Add(harness.Hang); ; time.Sleep(50 * time.Millisecond) {
		s, err := a.Status(t.Context())
		if err == nil && s.Policies == 2 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("a sees %d policies, %v, want 2", s.Policies, err)
		}
	}
}

// wantPolicies waits until all nodes of fleet see that many policies.
func wantPolicies(t *testing.T, fleet *harness.Fleet, want int) {
	t.Helper()
	for end := time.Now().Add(harness.Hang); ; time.Sleep(50 * time.Millisecond) {
		var seen []int
		for _, n := range fleet.Alive() {
			if s, err := n.Status(t.Context()); err == nil && s.Policies != want {
				seen = append(seen, s.Policies)
			}
		}
		if len(seen) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("nodes see %v policies, want %d", seen, want)
		}
	}
}

// get asks n's gateway for path and returns the status.
func get(t *testing.T, client *http.Client, n *harness.Node, path string) int {
	r, err := http.NewRequestWithContext(bounded(t), http.MethodGet, "http://"+n.Addr.HTTP+path, nil)
	if err != nil {
		return 0
	}
	a, err := client.Do(r)
	if err != nil {
		t.Logf("GET %s: %v", path, err)
		return 0
	}
	defer a.Body.Close()
	_, _ = io.Copy(io.Discard, a.Body)
	return a.StatusCode
}

// admitted returns how many of n requests for /few pass.
func admitted(t *testing.T, node *harness.Node, n int) (passed int) {
	t.Helper()
	for range n {
		if get(t, http.DefaultClient, node, "/few") == http.StatusOK {
			passed++
		}
	}
	return passed
}

// What is no request is answered with a reason or cut off, and the gateway goes on.
func TestGatewayBadInput(t *testing.T) {
	up := newModel(t)
	fleet := harness.Start(t, 1, harness.Options{Args: []string{"--config", policyFile(t, fmt.Sprintf(`
identities:
  keys: {file: KEYS}
limits:
  user: {key: [identity.id, header.X-Part], limit: 1000/s}
  tokens: {key: [identity.id], unit: llm_tokens, tiers: {pro: 100000/s, basic: 10/h}}
routes:
  chat: {path: /v1, kind: openai, upstreams: [%[1]q], limits: [user, tokens], max_body: 1MiB, read_timeout: 1s}
  web: {path: /web, upstreams: [%[1]q], limits: [user]}
`, up.URL))}})
	addr := fleet.Node("a").Addr.HTTP
	head := "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + secret + "\r\nContent-Type: application/json\r\n"
	for _, c := range []struct {
		name, raw string
		want      int
		says      string
	}{
		{"broken JSON", head + "Content-Length: 9\r\n\r\n{\"model\":", 400, "invalid_request_error"},
		{"no body", head + "\r\n", 400, "invalid_request_error"},
		{"10 MB header", head + "X-Large: " + strings.Repeat("x", 10<<20) + "\r\n\r\n", 431, ""},
		{"40 kB header", head + "X-Large: " + strings.Repeat("x", 40<<10) + "\r\n\r\n", 431, "32768"},
		{"2 MiB body", head + "Content-Length: 2097152\r\n\r\n", 413, "1048576"},
		{"chunked nonsense", head + "Transfer-Encoding: chunked\r\n\r\nnot a size\r\n", 400, ""},
		{"slow sender", head + "Content-Length: 100\r\n\r\n{", 408, "in time"},
		{"key of 0 bytes", strings.Replace(head, secret, "", 1) + "\r\n", 401, ""},
		{"key of 10,000 bytes", strings.Replace(head, secret, strings.Repeat("k", 10_000), 1) + "\r\n", 401, "invalid_api_key"},
		{"unknown key", strings.Replace(head, secret, "sk-other", 1) + "\r\n", 401, "invalid_api_key"},
		{"part of 10,000 bytes", "GET /web HTTP/1.1\r\nHost: a\r\nX-Part: " + strings.Repeat("p", 10_000) + "\r\n\r\n", 400, ""}, // the model's word: it is no call
		{"no route", "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", 404, "no-route"},
		{"no HTTP", "hello, this is not HTTP at all\r\n\r\n", 400, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, body := speak(t, addr, c.raw)
			if status != c.want || !strings.Contains(body, c.says) {
				t.Errorf("answer is %d %.300s, want %d with %q", status, body, c.want, c.says)
			}
		})
	}
}

// speak sends raw to addr and returns the answer.
func speak(t *testing.T, addr, raw string) (status int, body string) {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(harness.Hang))
	go func() { _, _ = io.WriteString(c, raw) }() // what is refused early is not read to its end
	a, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
	return a.StatusCode, string(b)
}
