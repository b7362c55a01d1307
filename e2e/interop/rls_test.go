package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/noriahq/noria/e2e/harness"
)

// descriptors is the file that a fleet goes by which is asked as Envoy asks.
const descriptors = `
domain: shop
descriptors:
  - key: user
    rate_limit: {name: per-user, unit: hour, requests_per_unit: %d}
  - key: sale
    rate_limit: {name: sale, unit: hour, requests_per_unit: 1000}
`

// shouldRateLimit is the method that Envoy calls.
const shouldRateLimit = "envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"

// tool returns the path of a program that "make tool-NAME" installs: that in the environment variable, which the Makefile sets, so
// that there the test is not skipped, or one that is there.
func tool(t *testing.T, name, variable string) string {
	t.Helper()
	if path := os.Getenv(variable); path != "" {
		return path
	}
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, ".tools", name)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if path, err = exec.LookPath(name); err != nil {
		t.Skipf(`%s is not installed: "make tool-%[1]s" installs it, "make e2e" does so too`, name)
	}
	return path
}

// envoyFleet starts a fleet by descriptors, and returns it with their folder.
func envoyFleet(t *testing.T) (*harness.Fleet, string) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "shop.yaml"), fmt.Sprintf(descriptors, 3))
	return harness.Start(t, 3, harness.Options{Args: []string{"--rls-config", dir}}), dir
}

// A verdict is what grpcurl prints of an answer.
type verdict struct {
	OverallCode string `json:"overallCode"`
	Statuses    []struct {
		Code           string `json:"code"`
		LimitRemaining int    `json:"limitRemaining"`
		CurrentLimit   struct {
			Name            string `json:"name"`
			RequestsPerUnit int    `json:"requestsPerUnit"`
		} `json:"currentLimit"`
		DurationUntilReset string `json:"durationUntilReset"`
	} `json:"statuses"`
	ResponseHeadersToAdd []struct{ Key, Value string } `json:"responseHeadersToAdd"`
}

// header returns a header that the proxy is to add.
func (v *verdict) header(name string) string {
	for _, h := range v.ResponseHeadersToAdd {
		if h.Key == name {
			return h.Value
		}
	}
	return ""
}

// curl asks a node by grpcurl, which finds the service by reflection.
func curl(t *testing.T, program string, n *harness.Node, descriptor string) verdict {
	t.Helper()
	out := run(t, program, "-plaintext", "-emit-defaults", "-d", `{"domain":"shop","descriptors":[`+descriptor+`]}`, n.Addr.GRPC, shouldRateLimit)
	var v verdict
	if err := json.Unmarshal(out, &v); err != nil || len(v.Statuses) != 1 {
		t.Fatalf("grpcurl printed %s, %v, want a status", out, err)
	}
	return v
}

// user is the descriptor of a user, with more fields if any.
func user(name, more string) string {
	return `{"entries":[{"key":"user","value":"` + name + `"}]` + more + `}`
}

// Envoy's question asked by grpcurl: allowed, denied with the headers that the end client sees, refunded, after the death of a node,
// and by a file that has changed.
func TestRLSByGrpcurl(t *testing.T) {
	program := tool(t, "grpcurl", "E2E_GRPCURL")
	fleet, dir := envoyFleet(t)
	a := fleet.Node("a")
	for i := range 3 {
		if v := curl(t, program, fleet.Alive()[i], user("alice", "")); v.OverallCode != "OK" || v.Statuses[0].LimitRemaining != 2-i {
			t.Errorf("request %d: %+v, want OK and %d left", i, v, 2-i)
		}
	}
	denied := func(when string) {
		t.Helper()
		v := curl(t, program, a, user("alice", ""))
		after, err := strconv.Atoi(v.header("Retry-After"))
		if v.OverallCode != "OVER_LIMIT" || v.Statuses[0].CurrentLimit.Name != "per-user" || v.header("X-RateLimit-Type") == "" || err != nil || after < 1 || after > 3600 {
			t.Errorf("%s: %+v, want OVER_LIMIT by per-user, with Retry-After and X-RateLimit-Type", when, v)
		}
	}
	denied("the fourth request")

	fleet.Node("b").Kill()
	fleet.WaitAgreed()
	denied("after a node died")

	if v := curl(t, program, a, user("alice", `,"hitsAddend":2,"isNegativeHits":true`)); v.OverallCode != "OK" || v.Statuses[0].LimitRemaining != 2 {
		t.Errorf("two given back: %+v, want OK and 2 left", v)
	}
	if v := curl(t, program, fleet.Node("c"), user("alice", "")); v.OverallCode != "OK" {
		t.Errorf("after two were given back: %+v, want OK", v)
	}

	write(t, filepath.Join(dir, "shop.yaml"), fmt.Sprintf(descriptors, 300))
	for deadline := time.Now().Add(hang); ; time.Sleep(50 * time.Millisecond) {
		v := curl(t, program, a, user("bob", `,"hitsAddend":0`))
		if v.Statuses[0].CurrentLimit.RequestsPerUnit == 300 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v after the file changed: %+v, want a limit of 300", hang, v)
		}
	}
}

// A tally is what ghz prints of its calls, in part.
type tally struct {
	Count                  int            `json:"count"`
	StatusCodeDistribution map[string]int `json:"statusCodeDistribution"`
	ErrorDistribution      map[string]int `json:"errorDistribution"`
	err                    error
}

// ghz asks for one key many times, and sends what came of it.
func ghz(ctx context.Context, program string, n *harness.Node, calls int) <-chan tally {
	ctx, cancel := context.WithTimeout(ctx, hang)
	cmd := exec.CommandContext(ctx, program, "--insecure", "--call", shouldRateLimit, "--total", strconv.Itoa(calls), "--concurrency", "8",
		"--connections", "2", "--timeout", "10s", "--format", "json",
		"--data", `{"domain":"shop","descriptors":[{"entries":[{"key":"sale","value":"today"}]}]}`, n.Addr.GRPC)
	came := make(chan tally, 1)
	go func() {
		defer cancel()
		var c tally
		out, err := cmd.Output()
		if err == nil {
			err = json.Unmarshal(out, &c)
		}
		if err != nil {
			c.err = fmt.Errorf("%w: it printed %.500s", err, out)
		}
		came <- c
	}()
	return came
}

// hits returns what a node's metrics say that came of the hits of a limit.
func hits(t *testing.T, n *harness.Node, result string) int {
	t.Helper()
	res, err := http.Get("http://" + n.Addr.Admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(page), "\n") {
		if strings.HasPrefix(line, "noria_rls_hits_total{") && strings.Contains(line, `"`+result+`"`) && strings.Contains(line, "sale") {
			if m := regexp.MustCompile(` ([0-9.e+]+)$`).FindStringSubmatch(line); m != nil {
				count, err := strconv.ParseFloat(m[1], 64)
				if err != nil {
					t.Fatal(err)
				}
				return int(count)
			}
		}
	}
	return 0
}

// Thousands of Envoy's questions by ghz, while a node dies: each is answered, and what is let through in all is the limit, and what
// the dead one had let through in the moment before. What it had lent and nobody had spent counts as spent.
func TestRLSByGhz(t *testing.T) {
	program := tool(t, "ghz", "E2E_GHZ")
	fleet, _ := envoyFleet(t)
	a, b := fleet.Node("a"), fleet.Node("b")
	const calls, limit = 2000, 1000
	done := ghz(t.Context(), program, a, calls)
	killed := false
	for deadline := time.Now().Add(hang); len(done) == 0 && !killed && time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if hits(t, a, "ok") >= limit/3 {
			b.Signal(syscall.SIGKILL)
			killed = true
		}
	}
	c := <-done
	if c.err != nil {
		t.Fatal(c.err)
	}
	if !killed {
		t.Error("the node was not killed while ghz asked")
	}
	b.Wait()
	if c.Count != calls || c.StatusCodeDistribution["OK"] != calls || len(c.ErrorDistribution) > 0 {
		t.Errorf("%+v, want %d answers and no error", c, calls)
	}
	fleet.WaitAgreed()
	if c := <-ghz(t.Context(), program, a, calls); c.err != nil || c.StatusCodeDistribution["OK"] != calls { // who takes what is left
		t.Errorf("after the node died: %+v, want %d answers", c, calls)
	}
	allowed, over := hits(t, a, "ok"), hits(t, a, "over")
	t.Logf("%d allowed, %d over the limit", allowed, over)
	if allowed+over != 2*calls || allowed > limit+limit/4 || allowed < limit/2 {
		t.Errorf("%d allowed and %d over the limit of %d calls, want %d and not much more", allowed, over, 2*calls, limit)
	}
}
