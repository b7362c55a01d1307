package e2e

import (
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/noriahq/noria/e2e/harness"
)

// The exit statuses that scripts may rely on.
const (
	fine        = 0
	denied      = 1
	wrongUsage  = 2
	unreachable = 3
)

// occupied returns the port of a TCP listener that lives as long as the test.
func occupied(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// free returns the flags of serve that give a node free ports.
func free(more ...string) []string {
	return append([]string{"serve", "--api", ":0", "--grpc", ":0", "--admin", ":0", "--peer", ":0", "--gossip", ":0"}, more...)
}

// A port that something else listens on is told with the flag that names it, whichever it is.
func TestPortInUse(t *testing.T) {
	for _, flag := range []string{"api", "grpc", "admin", "peer", "gossip"} {
		t.Run(flag, func(t *testing.T) {
			port := occupied(t)
			got := harness.Run(t, nil, free("--"+flag, "127.0.0.1:"+port)...)
			if got.Status != wrongUsage || !contains(got.Stderr, "port "+port+" is in use", "--"+flag+" is 127.0.0.1:"+port, "port 0") {
				t.Errorf("serve with --%s on a port in use: exit status %d, %s; want %d, the port, the flag and a way out",
					flag, got.Status, got.Stderr, wrongUsage)
			}
		})
	}
}

// contains says whether s has all of parts.
func contains(s string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(s, part) {
			return false
		}
	}
	return true
}

// A node with the label of another cluster is not let in, is told so, and the cluster does not notice.
func TestOtherLabel(t *testing.T) {
	fleet := harness.Start(t, 2, harness.Options{})
	got := harness.Run(t, nil, free("--name", "stranger", "--join", fleet.Seeds()[0], "--label", "another")...)
	if got.Status != wrongUsage || !contains(got.Stderr, "another", fleet.Label(), "label") {
		t.Errorf("serve with another label: exit status %d, %s; want %d and both labels", got.Status, got.Stderr, wrongUsage)
	}
	fleet.WaitAgreed()
}

// A second node with the name of one that lives is not let in, and the one that lives stays: others may take the newcomer
// for it while that is there, and go back then.
func TestNameTaken(t *testing.T) {
	fleet := harness.Start(t, 3, patient())
	const limit = "quota 1000000" // an heir may answer meanwhile, and what it takes is taken
	key := fleet.KeyOf(fleet.Node("b"), "taken", limit)
	got := harness.Run(t, nil, free("--name", "b", "--join", fleet.Seeds()[0], "--label", fleet.Label())...)
	if got.Status != wrongUsage || !contains(got.Stderr, `"b"`, "name") {
		t.Errorf("serve with the name of a live node: exit status %d, %s; want %d and the name", got.Status, got.Stderr, wrongUsage)
	}
	gone := time.Now()
	fleet.WaitAgreed()
	ctx := bounded(t)
	for _, c := range fleet.Clients() {
		var a harness.Answer
		for a.Source != "holder" || a.Node != "b" || !a.Allowed {
			time.Sleep(10 * time.Millisecond)
			next, err := c.Check(ctx, harness.Check{Key: key, Limit: limit, OnLost: "deny"})
			if err != nil {
				t.Fatalf("check after somebody else tried to be b: %v, after %+v", err, a)
			}
			a = next
		}
	}
	t.Logf("b is known to all again %v after somebody else tried to be b", time.Since(gone))
}

// serveAt starts a node with an admin port that is known before the node is ready, and the other ports free.
func serveAt(t *testing.T, seed string, more ...string) (node *harness.Node, admin string) {
	t.Helper()
	for range 10 {
		admin = harness.FreeAddr(t)
		node = harness.Serve(t, "early", []string{seed}, nil, append([]string{"--admin", admin}, more...)...)
		if waitHTTP(t, node, admin) {
			return node, admin
		}
		if !strings.Contains(node.Log.String(), "in use") { // else somebody else was quicker
			break
		}
	}
	t.Fatalf("node does not start; it wrote\n%s", node.Log)
	return nil, ""
}

// waitHTTP blocks until something answers HTTP at addr and returns true, or until node has ended.
func waitHTTP(t *testing.T, node *harness.Node, addr string) bool {
	t.Helper()
	for deadline := time.Now().Add(harness.Hang); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if _, _, err := harness.Get(bounded(t), addr, "/healthz"); err == nil {
			return true
		}
		if !node.Alive() {
			return false
		}
	}
	t.Fatalf("nothing answers at %s after %v", addr, harness.Hang)
	return false
}

// readyz returns the status of /readyz.
func readyz(ctx context.Context, t *testing.T, admin string) int {
	t.Helper()
	status, _, err := harness.Get(ctx, admin, "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	return status
}

// A node whose seed does not answer is alive and not ready, says what it is waiting for, and joins as soon as the seed is
// there.
func TestSeedIsLate(t *testing.T) {
	seed := harness.FreeAddr(t)
	late, admin := serveAt(t, seed)
	late.FindLine(2, "no seed answers", seed)
	if status := readyz(bounded(t), t, admin); status != 503 {
		t.Errorf("/readyz of a node that has not joined: %d, want 503", status)
	}
	if status, _, err := harness.Get(bounded(t), admin, "/healthz"); status != 200 || err != nil {
		t.Errorf("/healthz of a node that has not joined: %d, %v; want 200", status, err)
	}

	first := harness.Serve(t, "first", nil, nil, "--gossip", seed)
	first.WaitReady()
	late.WaitReady()
	if status := readyz(bounded(t), t, admin); status != 200 {
		t.Errorf("/readyz of a node that has joined: %d, want 200", status)
	}
	late.Stop()
}

// With --serve-alone a node is ready although no seed answers.
func TestServeAlone(t *testing.T) {
	node := harness.Serve(t, "alone", []string{harness.FreeAddr(t)}, nil, "--serve-alone")
	node.WaitReady()
	if status := readyz(bounded(t), t, node.Addr.Admin); status != 200 {
		t.Errorf("/readyz with --serve-alone: %d, want 200", status)
	}
	if a := mustCheck(t, node.HTTP(), harness.Check{Key: "k", Limit: "quota 1"}); !a.Allowed || a.Node != "alone" {
		t.Errorf("check of a node alone = %+v, want allowed", a)
	}
}

// A node that still waits for its seed ends when it is asked to.
func TestStopBeforeReady(t *testing.T) {
	node, _ := serveAt(t, harness.FreeAddr(t))
	node.FindLine(1, "no seed answers")
	if status := node.Stop(); status != fine {
		t.Errorf("exit status of a node that was stopped before it was ready: %d, want %d; it wrote\n%s", status, fine, node.Log)
	}
}

// A typing mistake is told with what was probably meant.
func TestSuggestions(t *testing.T) {
	cases := []struct {
		args string
		want string
	}{
		{"serve --jion 127.0.0.1:7946", "--join"},
		{"serve --log-fromat text", "--log-format"},
		{"chekc user:42 100/s", "noria check"},
		{"sevre", "noria serve"},
		{"serve --log-level wran", "warn"},
		{"serve --join nonsense", "HOST:PORT"},
		{"serve --peer-wait 5", "50ms"},
		{"check user:42 100/x", "100/x"},
		{"check user:42", "LIMIT"},
		{"fleet --nodes none", "whole number"},
	}
	for _, c := range cases {
		t.Run(c.args, func(t *testing.T) {
			got := harness.Run(t, nil, strings.Fields(c.args)...)
			if got.Status != wrongUsage || !strings.Contains(got.Stderr, c.want) || got.Stdout != "" {
				t.Errorf("noria %s: exit status %d, stdout %q, stderr %q; want %d and %q on stderr alone",
					c.args, got.Status, got.Stdout, got.Stderr, wrongUsage, c.want)
			}
		})
	}
}

// The environment is read where no flag is given, and what is wrong in it is told with its name.
func TestEnvironment(t *testing.T) {
	got := harness.Run(t, []string{"NORIA_NODE_PEER_WAIT=soon"}, "serve")
	if got.Status != wrongUsage || !contains(got.Stderr, "NORIA_NODE_PEER_WAIT", "soon") {
		t.Errorf("serve with a bad variable: exit status %d, %s; want %d and the variable", got.Status, got.Stderr, wrongUsage)
	}
	node := harness.Serve(t, "flag", nil, []string{"NORIA_NODE_NAME=environment", "NORIA_CLUSTER_LABEL=elsewhere"})
	node.WaitReady() // under the name of the flag
	s, err := node.Status(bounded(t))
	if err != nil || s.Label != "elsewhere" {
		t.Errorf("label = %q, %v; want the environment's, elsewhere", s.Label, err)
	}
}

// The exit status tells a script what happened.
func TestExitStatus(t *testing.T) {
	node := harness.Serve(t, "one", nil, nil)
	node.WaitReady()
	at := []string{"--node", node.Addr.GRPC}
	cases := []struct {
		name string
		args []string
		want int
	}{
		{"allowed", append([]string{"check", "user:42", "quota 1"}, at...), fine},
		{"denied", append([]string{"check", "user:42", "quota 1"}, at...), denied},
		{"denied in JSON", append([]string{"check", "user:42", "quota 1", "--output", "json"}, at...), denied},
		{"bad limit", append([]string{"check", "user:42", "many"}, at...), wrongUsage},
		{"status", append([]string{"status", "--output", "json"}, at...), fine},
		{"nobody there", []string{"check", "user:42", "1/s", "--node", harness.FreeAddr(t)}, unreachable},
		{"nobody there for status", []string{"status", "--node", harness.FreeAddr(t)}, unreachable},
		{"version", []string{"version"}, fine},
		{"help", []string{"--help"}, fine},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := harness.Run(t, nil, c.args...); got.Status != c.want {
				t.Errorf("noria %s: exit status %d, want %d\n%s%s", strings.Join(c.args, " "), got.Status, c.want, got.Stdout, got.Stderr)
			}
		})
	}
}

// What the HTTP API cannot read is answered with what was wrong, and changes nothing.
func TestBadRequests(t *testing.T) {
	node := harness.Serve(t, "one", nil, nil)
	node.WaitReady()
	cases := []struct {
		check harness.Check
		want  string
	}{
		{harness.Check{Limit: "1/s"}, "key"},
		{harness.Check{Key: "k"}, "limit"},
		{harness.Check{Key: "k", Limit: "fast"}, "fast"},
		{harness.Check{Key: "k", Limit: "0/s"}, "0/s"},
		{harness.Check{Key: "k", Limit: "1/s", Cost: cost(-1)}, "cost"},
		{harness.Check{Key: strings.Repeat("k", 513), Limit: "1/s"}, "512"},
		{harness.Check{Key: "k", Limit: "1/s", OnLost: "hope"}, "hope"},
		{harness.Check{Key: "k", Limit: "1/s", ID: strings.Repeat("i", 65)}, "64"},
	}
	for i, c := range cases {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			a, err := node.HTTP().Check(bounded(t), c.check)
			if err == nil || !contains(err.Error(), "HTTP status 400", c.want) {
				t.Errorf("check %+v = %+v, %v; want status 400 and %q", c.check, a, err, c.want)
			}
			if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("Content-Type = %q, want application/problem+json", got)
			}
		})
	}
}
