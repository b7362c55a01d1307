package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	model "github.com/noriahq/noria/cluster/cost"
	"github.com/noriahq/noria/e2e/harness"
)

// Of nine nodes three hold all keys, and a quota that is asked for 1,000 times at once through all nine admits exactly
// that much: 20 times in a row. Each node has the streams of one way to each holder, and to nobody else.
func TestGateways(t *testing.T) {
	o := patient()
	o.Gateways = 6
	const holders, nodes = 3, 9
	fleet := harness.Start(t, holders, o)
	clients := fleet.Clients()
	for round := range 20 {
		whileAgreed(t, fleet, func(number int, wrong *complaints) {
			spendQuota(t, wrong, clients, fmt.Sprintf("quota/%d/%d", round, number))
		})
	}
	ports := map[string]string{} // who listens there
	for _, n := range fleet.Alive() {
		_, port, err := net.SplitHostPort(n.Addr.Peer)
		if err != nil {
			t.Fatal(err)
		}
		ports[port] = n.Name
	}
	want := model.Fleet{Holders: holders, Gateways: nodes - holders}.Streams()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var ways []string
		for _, n := range fleet.Alive() {
			for _, port := range remotePorts(t, n.Pid()) {
				if ports[port] != "" {
					ways = append(ways, n.Name+"-"+ports[port])
				}
			}
		}
		if len(ways) == want {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d streams between nodes, want %d: %v", len(ways), want, ways)
		}
	}
	for _, n := range fleet.Alive() {
		s, err := n.Status(t.Context())
		if gateway := n.Name > "c"; err != nil || (s.Partitions == 0) != gateway || (s.Role == "gateway") != gateway {
			t.Errorf("%s: %v, a %s, holds %d partitions", n.Name, err, s.Role, s.Partitions)
		}
	}
}

// A role that there is not ends the process with status 2 and the roles that there are.
func TestBadRole(t *testing.T) {
	p := harness.StartProcess(t, "bad", nil, "serve", "--role", "boss", "--gossip", "127.0.0.1:0")
	if status := p.Wait(); status != 2 {
		t.Errorf("serve --role boss: exit status %d, want 2", status)
	}
	p.FindLine(1, "want holder or gateway")
}

// remotePorts returns the remote ports of a process's TCP connections that are open.
func remotePorts(t *testing.T, pid int) (ports []string) {
	t.Helper()
	sockets := map[string]bool{} // inodes
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		to, err := os.Readlink(link)
		if errors.Is(err, fs.ErrNotExist) {
			continue // closed in the meantime
		}
		if inode, ok := strings.CutPrefix(to, "socket:["); ok {
			sockets[strings.TrimSuffix(inode, "]")] = true
		}
	}
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		const established = "01"
		if len(f) < 10 || f[3] != established || !sockets[f[9]] {
			continue
		}
		_, port, _ := strings.Cut(f[2], ":")
		number, err := strconv.ParseUint(port, 16, 16)
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, strconv.FormatUint(number, 10))
	}
	return ports
}
