package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/noriahq/noria/e2e/harness"
)

// nameServer starts a name server that knows noria.test and the SRV records of its gossip at these addresses of this
// machine, and returns where it listens.
func nameServer(t *testing.T, gossip ...string) string {
	t.Helper()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	records := map[string][]string{"noria.test. A": {"127.0.0.1"}}
	for _, addr := range gossip {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		records["_gossip._tcp.noria.test. SRV"] = append(records["_gossip._tcp.noria.test. SRV"], "0 0 "+port+" noria.test.")
	}
	up, ended := make(chan struct{}), make(chan error, 1)
	s := &dns.Server{PacketConn: packets, NotifyStartedFunc: func() { close(up) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.Authoritative = true
		kind := dns.TypeToString[q.Question[0].Qtype]
		for _, data := range records[q.Question[0].Name+" "+kind] {
			rr, err := dns.NewRR(q.Question[0].Name + " 1 IN " + kind + " " + data)
			if err == nil {
				m.Answer = append(m.Answer, rr)
			}
		}
		_ = w.WriteMsg(m)
	})}
	go func() { ended <- s.ActivateAndServe() }()
	<-up
	t.Cleanup(func() {
		_ = s.Shutdown()
		<-ended
	})
	return packets.LocalAddr().String()
}

// waitMembers blocks until n knows that many members.
func waitMembers(t *testing.T, n *harness.Node, want int) {
	t.Helper()
	got := 0
	for deadline := time.Now().Add(harness.Hang); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		res, err := http.Get("http://" + n.Addr.Admin + "/status")
		if err != nil {
			t.Fatal(err)
		}
		var status struct {
			Members []json.RawMessage `json:"members"`
		}
		err = json.NewDecoder(res.Body).Decode(&status)
		_ = res.Body.Close()
		if got = len(status.Members); err == nil && got == want {
			return
		}
	}
	t.Fatalf("%s knows %d members, want %d", n.Name, got, want)
}

// Nodes find each other by the lines of a file, which they read again until there are some; others come by the
// addresses of a name, and by SRV records.
func TestDiscovery(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nodes")
	label := fmt.Sprintf("discover-%d", time.Now().UnixNano())
	var nodes []*harness.Node
	var gossip []string
	for _, name := range []string{"a", "b", "c"} {
		addr := harness.FreeAddr(t)
		gossip = append(gossip, addr)
		nodes = append(nodes, harness.Serve(t, name, []string{"file://" + path}, nil, "--label", label, "--gossip", addr))
	}
	nodes[0].FindLine(1, "no seed answers, trying again", "no such file")
	if err := os.WriteFile(path, []byte("# the fleet\n"+strings.Join(gossip, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := nameServer(t, gossip...)
	_, port, err := net.SplitHostPort(gossip[0])
	if err != nil {
		t.Fatal(err)
	}
	nodes = append(nodes,
		harness.Serve(t, "d", []string{"dns://noria.test:" + port}, nil, "--label", label, "--dns", server),
		harness.Serve(t, "e", []string{"srv://_gossip._tcp.noria.test"}, nil, "--label", label, "--dns", server))
	for _, n := range nodes {
		n.WaitReady()
	}
	for _, n := range nodes {
		waitMembers(t, n, len(nodes))
	}
}
