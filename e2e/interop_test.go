package e2e

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/noriahq/noria/e2e/harness"
)

// grpcurlEnv names the environment variable with the path of grpcurl. The Makefile sets it, so that there the test is
// never skipped.
const grpcurlEnv = "E2E_GRPCURL"

// curl returns the path of curl, or skips the test where there is none.
func curl(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not installed: install it to test what its users see")
	}
	return path
}

// grpcurl returns the path of grpcurl, or skips the test where there is none.
func grpcurl(t *testing.T) string {
	t.Helper()
	if path := os.Getenv(grpcurlEnv); path != "" {
		return path
	}
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	if path := filepath.Join(root, ".tools", "grpcurl"); exec.Command(path, "-version").Run() == nil {
		return path
	}
	path, err := exec.LookPath("grpcurl")
	if err != nil {
		t.Skip(`grpcurl is not installed: "make tool-grpcurl" installs it, "make e2e" does so too`)
	}
	return path
}

// output runs a command and returns its standard output and exit status.
func output(t *testing.T, name string, args ...string) (stdout string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Hang)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if cmd.ProcessState == nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err != nil {
		t.Logf("%s %s: %v: %s", filepath.Base(name), strings.Join(args, " "), err, &stderr)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// curl gets statuses, headers and bodies that say the same.
func TestCurl(t *testing.T) {
	program := curl(t)
	node := harness.Serve(t, "one", nil, nil)
	node.WaitReady()
	post := func(body string) (head, json string) {
		out, status := output(t, program, "-sS", "-i", "--max-time", "30", "http://"+node.Addr.API+"/v1/check",
			"-H", "Content-Type: application/json", "-d", body)
		if status != 0 {
			t.Fatalf("curl -d %s: exit status %d", body, status)
		}
		head, json, _ = strings.Cut(out, "\r\n\r\n")
		return head, json
	}

	head, body := post(`{"key":"user:42","limit":"2/m burst 2","cost":2}`)
	want := []string{"HTTP/1.1 200 OK", "RateLimit-Policy: ", "RateLimit: ", "X-RateLimit-Limit: 2", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: "}
	for _, w := range want {
		if !hasHeader(head, w) {
			t.Errorf("head of an allowed check has no %q:\n%s", w, head)
		}
	}
	if !strings.HasPrefix(body, `{"allowed":true,"limit":"2/m","remaining":0,"retry_after_ms":0,"reset_after_ms":`) {
		t.Errorf("body of an allowed check: %s", body)
	}

	head, body = post(`{"key":"user:42","limit":"2/m burst 2"}`)
	for _, w := range []string{"HTTP/1.1 429 Too Many Requests", "Retry-After: ", "X-RateLimit-Type: "} {
		if !hasHeader(head, w) {
			t.Errorf("head of a denied check has no %q:\n%s", w, head)
		}
	}
	if !strings.HasPrefix(body, `{"allowed":false,`) || !strings.Contains(body, `"denied_by":"user:42"`) {
		t.Errorf("body of a denied check: %s", body)
	}

	head, body = post(`{"key":"user:42","limit":"2 per fortnight"}`)
	if !hasHeader(head, "HTTP/1.1 400 Bad Request") || !hasHeader(head, "Content-Type: application/problem+json") || !strings.Contains(body, "fortnight") {
		t.Errorf("answer to a bad limit:\n%s\n\n%s", head, body)
	}
}

// hasHeader says whether a line of head starts with start; the names of headers have no case.
func hasHeader(head, start string) bool {
	return slices.ContainsFunc(strings.Split(head, "\r\n"), func(line string) bool {
		return len(line) >= len(start) && strings.EqualFold(line[:len(start)], start)
	})
}

// grpcurl finds the API by reflection alone and calls it.
func TestGrpcurl(t *testing.T) {
	program := grpcurl(t)
	fleet := harness.Start(t, 3, patient())
	call := func(want int, args ...string) string {
		t.Helper()
		out, status := output(t, program, append([]string{"-plaintext", "-max-time", "30"}, args...)...)
		if status != want {
			t.Fatalf("grpcurl %s: exit status %d, want %d", strings.Join(args, " "), status, want)
		}
		return out
	}
	addr := fleet.Node("a").Addr.GRPC
	if got := call(0, addr, "list"); !contains(got, "noria.v1.Noria\n", "grpc.health.v1.Health\n") {
		t.Errorf("grpcurl list = %s, want noria.v1.Noria and grpc.health.v1.Health", got)
	}
	if got := call(0, addr, "describe", "noria.v1.Noria"); !contains(got, "rpc Check ", "rpc CheckAll ", "rpc StreamChecks ", "rpc Status ") {
		t.Errorf("grpcurl describe = %s, want the calls", got)
	}
	if got := call(0, addr, "grpc.health.v1.Health/Check"); !strings.Contains(got, "SERVING") {
		t.Errorf("health = %s, want SERVING", got)
	}
	key := fleet.KeyOf(fleet.Node("c"), "grpcurl", "quota 3")
	for remaining := 2; remaining >= 0; remaining-- {
		var got struct {
			Allowed   bool
			Remaining int64 `json:",string"`
			Source    string
			Node      string
		}
		out := call(0, "-emit-defaults", "-d", `{"key":"`+key+`","limit":"quota 3"}`, addr, "noria.v1.Noria/Check")
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatalf("answer %s: %v", out, err)
		}
		if !got.Allowed || got.Remaining != int64(remaining) || got.Source != "SOURCE_HOLDER" || got.Node != "c" {
			t.Errorf("Check = %s, want allowed by c with %d remaining", out, remaining)
		}
	}
	if got := call(0, "-emit-defaults", "-d", `{"key":"`+key+`","limit":"quota 3"}`, addr, "noria.v1.Noria/Check"); !contains(got, `"allowed": false`, `"retryAfterNs": "-1"`) {
		t.Errorf("Check of a spent quota = %s, want a refusal for good as an answer, not an error", got)
	}
	const invalidArgument = 64 + 3 // grpcurl adds 64 to the status code
	call(invalidArgument, "-d", `{"key":"k","limit":"fast"}`, addr, "noria.v1.Noria/Check")
}
