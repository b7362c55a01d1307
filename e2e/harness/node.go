package harness

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
)

// Addrs are the addresses that a node listens on, as its ready line tells them. HTTP, the gateway, is empty without an
// upstream.
type Addrs struct {
	HTTP   string `json:"http"`
	API    string `json:"api"`
	GRPC   string `json:"grpc"`
	Admin  string `json:"admin"`
	Peer   string `json:"peer"`
	Gossip string `json:"gossip"`
}

// A Node is a process of noria serve.
type Node struct {
	*Process
	Addr Addrs // once it was ready

	env  []string
	args []string // flags beyond those of freePorts, --name and --join
}

// freePorts returns flags that have a node listen on free ports of this machine alone.
func freePorts() []string {
	var flags []string
	for _, name := range []string{"http", "api", "grpc", "admin", "peer", "gossip"} {
		flags = append(flags, "--"+name, "127.0.0.1:0")
	}
	return flags
}

// FreeAddr returns an address of this machine whose port nothing uses, over TCP or UDP. It is for addresses that have to be
// known before they are opened; where port 0 will do it is better. The port is below those that the system gives to
// connections, so that it stays free unless somebody asks for just this one.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		u, err := net.ListenPacket("udp", addr)
		_ = l.Close()
		if err != nil {
			continue
		}
		_ = u.Close()
		return addr
	}
	t.Fatal("no port is free")
	return ""
}

// Serve starts noria serve under the name on free ports, joining the gossip addresses seeds, with further flags args, and
// returns at once: the node is not ready yet and its addresses are not known.
func Serve(t testing.TB, name string, seeds, env []string, args ...string) *Node {
	t.Helper()
	return serve(t, Build(t), name, seeds, env, args...)
}

// serve is Serve of another binary.
func serve(t testing.TB, binary, name string, seeds, env []string, args ...string) *Node {
	t.Helper()
	flags := append([]string{"serve", "--name", name}, freePorts()...)
	if len(seeds) > 0 {
		flags = append(flags, "--join", strings.Join(seeds, ","))
	}
	return &Node{Process: startBinary(t, binary, name, env, append(flags, args...)...), env: env, args: args}
}

// WaitReady blocks until the node has said that it is ready and learns its addresses.
func (n *Node) WaitReady() {
	n.t.Helper()
	line := n.FindLine(1, `"msg":"ready"`)
	var ready struct {
		Node string `json:"node"`
		Addrs
	}
	if err := json.Unmarshal([]byte(line), &ready); err != nil {
		n.t.Fatalf("%s: ready line %s: %v", n.Name, line, err)
	}
	n.Addr = ready.Addrs
	if err := n.Addr.complete(); err != nil || ready.Node != n.Name {
		n.t.Fatalf("%s: ready line %s: node is %q, %v; want its name and all addresses", n.Name, line, ready.Node, err)
	}
}

// complete returns an error if one of the addresses that every node has is missing.
func (a Addrs) complete() error {
	for name, addr := range map[string]string{"api": a.API, "grpc": a.GRPC, "admin": a.Admin, "peer": a.Peer, "gossip": a.Gossip} {
		if addr == "" || strings.HasSuffix(addr, ":0") {
			return fmt.Errorf("%s is %q", name, addr)
		}
	}
	return nil
}
