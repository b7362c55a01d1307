package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/noriahq/noria/cluster"
)

// startFleet runs a fleet on free ports until all nodes agree.
func startFleet(t *testing.T, args ...string) (*running, fleetData) {
	t.Helper()
	r := start(t, nil, append([]string{"fleet", "--free-ports", "--output", "json", "--peer-wait", "30s"}, args...)...)
	var d fleetData // its nodes are patient, however slow the machine
	if err := json.Unmarshal([]byte(r.line(r.out, `"nodes"`)), &d); err != nil {
		t.Fatal(err)
	}
	return r, d
}

// Three nodes share one bucket, whoever is asked and by which API; and they say the same of where it is.
func TestFleet(t *testing.T) {
	r, d := startFleet(t, "--nodes", "3")
	if len(d.Nodes) != 3 {
		t.Fatalf("fleet has %d nodes, want 3", len(d.Nodes))
	}
	partitions := 0
	for _, n := range d.Nodes {
		partitions += n.Partitions
	}
	if partitions != 16384 {
		t.Errorf("the nodes hold %d partitions, want 16384", partitions)
	}
	allowed := 0
	for i := range 30 {
		n := d.Nodes[i%3]
		if i%2 == 0 {
			if status, _, errs := once(t, nil, "check", "user:42", "quota 10", "--node", n.GRPC); status == statusFine {
				allowed++
			} else if errs != "" {
				t.Fatal(errs)
			}
		} else if post(t, n.API, `{"key":"user:42","limit":"quota 10"}`) == http.StatusOK {
			allowed++
		}
	}
	if allowed != 10 {
		t.Errorf("%d checks of 30 were allowed, want 10", allowed)
	}
	sameRing(t, d.Nodes)
	r.stop()
	if got := r.wait(); got != statusFine {
		t.Errorf("fleet ends with %d, want %d", got, statusFine)
	}
}

// post asks the HTTP API at addr and returns the status.
func post(t *testing.T, addr, body string) int {
	t.Helper()
	res, err := http.Post("http://"+addr+"/v1/check", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// sameRing asks all nodes where keys are.
func sameRing(t *testing.T, nodes []fleetNode) {
	t.Helper()
	var first ringAnswer
	for i, n := range nodes {
		status, out, errs := once(t, nil, "ring", "user:42", "b", "--admin", n.Admin, "--output", "json")
		var a ringAnswer
		if err := json.Unmarshal([]byte(out), &a); status != statusFine || err != nil {
			t.Fatalf("ring ends with %d, %q, %q", status, out, errs)
		}
		if string(a.Node) != n.Node || len(a.Keys) != 2 || len(a.Members) != len(nodes) {
			t.Errorf("%s says %+v", n.Node, a)
		}
		a.Node = ""
		for j := range a.Keys {
			a.Keys[j].Term = 0 // only a holder knows it for sure
		}
		if i == 0 {
			first = a
		} else if !slices.Equal(a.Keys, first.Keys) || a.Epoch != first.Epoch || !slices.Equal(a.Members, first.Members) {
			t.Errorf("%s says %+v, %s says %+v", n.Node, a, nodes[0].Node, first)
		}
		status, out, errs = once(t, nil, "status", "--node", n.GRPC, "--output", "json")
		var s cluster.Status
		if err := json.Unmarshal([]byte(out), &s); status != statusFine || err != nil || !s.Ready || s.Epoch != a.Epoch || s.Partitions != n.Partitions {
			t.Errorf("status of %s ends with %d, %+v, %q", n.Node, status, s, errs)
		}
	}
}

// What the screen says to type works as it is printed.
func TestFleetScreen(t *testing.T) {
	r := start(t, nil, "fleet", "--nodes", "2", "--free-ports", "--upstream", "http://127.0.0.1:1", "--limit", "1/h")
	r.line(r.out, "Ctrl-C stops")
	screen := r.out.String()
	var curls, checks int
	for line := range strings.Lines(screen) {
		words := shellWords(line)
		switch {
		case len(words) > 0 && words[0] == "curl":
			curls++
			if status := curl(t, words[1:]); status != http.StatusOK && status != http.StatusBadGateway {
				t.Errorf("%s is answered %d", line, status)
			}
		case len(words) > 0 && words[0] == "noria":
			checks++
			if status, _, errs := once(t, nil, words[1:]...); status != statusFine {
				t.Errorf("%s ends with %d, %s", line, status, errs)
			}
		}
	}
	if curls != 4 || checks != 1 {
		t.Errorf("%d curl and %d noria lines, want 4 and 1:\n%s", curls, checks, screen)
	}
	screen = regexp.MustCompile(`127\.0\.0\.1:\d+ *`).ReplaceAllString(screen, "ADDRESS ")
	screen = regexp.MustCompile(`epoch [0-9a-f]+`).ReplaceAllString(screen, "epoch EPOCH")
	golden(t, "fleet.txt", regexp.MustCompile(` {2,}`).ReplaceAllString(screen, "  "))
}

// Gateways come after the other nodes, hold nothing, and are asked like them.
func TestFleetGateways(t *testing.T) {
	_, d := startFleet(t, "--nodes", "1", "--gateways", "2")
	if len(d.Nodes) != 3 {
		t.Fatalf("fleet has %d nodes, want 3", len(d.Nodes))
	}
	for i, n := range d.Nodes {
		want := []string{"holder", "gateway", "gateway"}[i]
		if n.Role != want || (n.Partitions == 0) != (want == "gateway") {
			t.Errorf("node %d is %+v, want a %s", i, n, want)
		}
		if status, out, errs := once(t, nil, "check", "k", "1/h burst 3", "--node", n.GRPC); status != statusFine {
			t.Errorf("check at %s ends with %d, %s%s", n.Node, status, out, errs)
		}
		if status, out, errs := once(t, nil, "status", "--node", n.GRPC); status != statusFine || !strings.Contains(out, want) {
			t.Errorf("status of %s ends with %d, %s%s, want its role", n.Node, status, out, errs)
		}
	}
	if status, _, _ := once(t, nil, "check", "k", "1/h burst 3", "--node", d.Nodes[2].GRPC); status != statusFailed {
		t.Errorf("the fourth check of a burst of 3 ends with %d, want it denied", status)
	}
}

// shellWords returns the words of a line as a shell would read them.
func shellWords(line string) []string {
	var words []string
	for _, m := range regexp.MustCompile(`'([^']*)'|"([^"]*)"|(\S+)`).FindAllStringSubmatch(line, -1) {
		words = append(words, m[1]+m[2]+m[3])
	}
	return words
}

// curl does what curl does with args and returns the status of the answer.
func curl(t *testing.T, args []string) int {
	t.Helper()
	method, url, body, header := http.MethodGet, "", "", http.Header{}
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "-i":
		case "-H":
			i++
			name, value, _ := strings.Cut(args[i], ": ")
			header.Set(name, value)
		case "-d":
			i++
			method, body = http.MethodPost, args[i]
			if header.Get("Content-Type") == "" {
				header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
		default:
			url = args[i]
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}

// The nodes of a fleet have ports that do not meet, whatever their number, and those that scripts rely on.
func TestFleetPorts(t *testing.T) {
	for _, f := range []fleet{{}, {base: 9000}} {
		seen := map[string]bool{}
		for i := range 50 {
			f.settings(i).listen.each(func(name, addr string) {
				if seen[addr] {
					t.Errorf("node %d: --%s is %s, which another has", i, name, addr)
				}
				seen[addr] = true
			})
		}
	}
	usual, _ := told(t, "", nil)
	if got := (&fleet{}).settings(0).listen; got != usual.listen {
		t.Errorf("ports of the first node are %+v, want those of serve, %+v", got, usual.listen)
	}
	if got := (&fleet{base: 9000}).settings(2).listen.api; got != "127.0.0.1:9023" {
		t.Errorf("the API of the third node from 9000 is %s, want 127.0.0.1:9023", got)
	}
}

// A fleet whose ports are taken starts nothing and says which they are and what to do.
func TestFleetPortsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, text, _ := net.SplitHostPort(l.Addr().String())
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	if port+30 > 65535-1000 {
		t.Skip("the free port is too high to begin there")
	}
	status, out, errs := once(t, nil, "fleet", "--nodes", "1", "--base-port", strconv.Itoa(port-3))
	if status != statusUsage || out != "" || !strings.Contains(errs, text) || !strings.Contains(errs, "--free-ports") || !strings.Contains(errs, "--base-port") {
		t.Errorf("fleet ends with %d, %q, %q, want %d and what to do about port %s", status, out, errs, statusUsage, text)
	}
}
