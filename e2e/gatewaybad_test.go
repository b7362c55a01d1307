package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/noriahq/noria/e2e/harness"
)

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
