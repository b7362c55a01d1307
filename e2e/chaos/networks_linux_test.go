package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// networks returns networks with nodes in them that listen, or skips the test where that is not allowed.
func networks(t *testing.T, nodes ...string) (n *Networks, addrs map[string]string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	n, err := NewNetworks(t.Context(), 0, 0)
	if err != nil {
		t.Skipf("this machine gives no network namespaces: %v", err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		if left := spaces(t, n.prefix); len(left) > 0 {
			t.Errorf("left are %q", left)
		}
	})
	addrs = map[string]string{}
	for _, node := range nodes {
		host, err := n.add(t.Context(), node)
		if err != nil {
			t.Fatal(err)
		}
		addrs[node] = host
	}
	return n, addrs
}

// spaces returns the namespaces whose names begin with prefix.
func spaces(t *testing.T, prefix string) []string {
	t.Helper()
	out, err := exec.Command("ip", "netns", "list").Output()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, name := range strings.Fields(string(out)) {
		if strings.HasPrefix(name, prefix) {
			found = append(found, name)
		}
	}
	return found
}

// reaches says whether one packet goes from a node to an address and another comes back.
func (n *Networks) reaches(t *testing.T, from, to string) bool {
	t.Helper()
	args := append(n.inside(from)[1:], "ping", "-c", "1", "-W", "1", to)
	if _, err := exec.LookPath("ping"); err != nil {
		t.Skip("the command ping is missing")
	}
	return exec.Command("ip", args...).Run() == nil
}

// A cut node reaches nobody and nobody reaches it, others go on, and a heal ends all.
func TestCutAndHeal(t *testing.T) {
	n, addrs := networks(t, "a", "b", "c")
	check := func(when string, cut bool) {
		t.Helper()
		for _, pair := range [][2]string{{"a", "b"}, {"b", "a"}, {"a", "c"}, {"c", "b"}} {
			want := !cut || pair[0] != "b" && pair[1] != "b"
			if got := n.reaches(t, pair[0], addrs[pair[1]]); got != want {
				t.Errorf("%s: %s reaches %s: %v, want %v", when, pair[0], pair[1], got, want)
			}
		}
	}
	check("at first", false)
	for _, o := range []string{"a", "c"} {
		if err := errors.Join(n.cut(t.Context(), "b", o), n.cut(t.Context(), o, "b")); err != nil {
			t.Fatal(err)
		}
	}
	check("cut", true)
	if err := n.heal(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("healed", false)
}

// The tool reaches nodes in their networks, and is back in its own afterwards.
func TestDial(t *testing.T) {
	n, addrs := networks(t, "a")
	before, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = n.dial(ctx, "tcp", net.JoinHostPort(addrs["a"], "1"))
	if err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("dial a port that nobody listens on: %v, want refused by the node", err)
	}
	if after, err := net.InterfaceAddrs(); err != nil || fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("addresses are %v after it, %v; want %v", after, err, before)
	}
}

// What a run left that crashed is removed by the next one, and what belongs to others is not.
func TestLeftovers(t *testing.T) {
	n, _ := networks(t)
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	left, living, other := fmt.Sprintf("%s%d-a", netPrefix, dead.Process.Pid), fmt.Sprintf("%s%d-a", netPrefix, os.Getppid()), "noria-chaotic"
	for _, name := range []string{left, living, other} {
		if err := ip(t.Context(), "netns", "add", name); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() })
	}
	if err := removeLeftovers(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{left: 0, living: 1, other: 1, n.prefix + "hub": 1} {
		if got := spaces(t, name); len(got) != want {
			t.Errorf("%s: %d are there, want %d", name, len(got), want)
		}
	}
}
