package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// A node that other machines reach wants what each of its ports needs, and says which flags give it; --insecure, and addresses
// of this machine alone, want nothing.
func TestExposed(t *testing.T) {
	for _, c := range []struct {
		args string
		want string // flags that the error tells, "" for none
	}{
		{"", ""},
		{"--api 127.0.0.1:1 --grpc localhost:1 --admin [::1]:1", ""},
		{"--http 0.0.0.0:80", ""},
		{"--peer 10.0.0.1:1", "--peer-ca"},
		{"--gossip 10.0.0.1:1", "--gossip-keyring"},
		{"--api 10.0.0.1:1", "--api-tls-cert --api-token-file"},
		{"--grpc [::]:1", "--api-tls-cert --api-token-file"},
		{"--admin noria.example.com:1", "--admin-token-file"},
		{"--peer 10.0.0.1:1 --gossip 10.0.0.1:1 --api 10.0.0.1:1 --grpc 10.0.0.1:1 --admin 10.0.0.1:1", "--peer-ca --gossip-keyring --api-token-file --admin-token-file"},
		{"--peer 10.0.0.1:1 --gossip 10.0.0.1:1 --api 10.0.0.1:1 --grpc 10.0.0.1:1 --admin 10.0.0.1:1 --insecure", ""},
		{"--peer 10.0.0.1:1 --peer-ca a --peer-cert a --peer-key a", ""},
		{"--gossip 10.0.0.1:1 --gossip-keyring a", ""},
		{"--api 10.0.0.1:1 --api-token-file a", ""},
		{"--grpc 10.0.0.1:1 --api-tls-cert a --api-tls-key a", ""},
		{"--admin 10.0.0.1:1 --admin-tls-cert a --admin-tls-key a", "--admin-token-file"},
		{"--admin 10.0.0.1:1 --admin-token-file a", ""},
		{"--peer-ca a", "--peer-ca --peer-cert"},
		{"--peer-cert a --peer-key a", "--peer-cert --peer-ca"},
		{"--api-client-ca a", "--api-tls-cert"},
		{"--admin-tls-key a", "--admin-tls-key --admin-tls-cert"},
	} {
		s, err := told(t, "", nil, strings.Fields(c.args)...)
		if err != nil {
			t.Fatalf("%s: %v", c.args, err)
		}
		err = s.check()
		if (err == nil) != (c.want == "") {
			t.Errorf("%s: %v, want %q", c.args, err, c.want)
			continue
		}
		for want := range strings.FieldsSeq(c.want) {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s in it", c.args, err, want)
			}
		}
	}
}

// config init makes what a fleet needs, for its owner's eyes alone, overwrites nothing unasked, and adds to what is there.
func TestConfigInit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "secure")
	do := func(want int, args ...string) (initialData, string) {
		t.Helper()
		status, out, errs := once(t, nil, append([]string{"config", "init", "--dir", dir, "--output", "json"}, args...)...)
		var data initialData
		if status != want || want == statusFine && json.Unmarshal([]byte(out), &data) != nil {
			t.Errorf("config init %v ends with %d, %s%s", args, status, out, errs)
		}
		return data, errs
	}
	read := func(name string) []byte {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	do(statusFine, "--tls", "--nodes", "2")
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 4+2*4 {
		t.Fatalf("%d files, %v", len(entries), err)
	}
	for _, e := range entries {
		info, err := e.Info()
		secret := slices.Contains([]string{".key", ".gossip", ".tokens"}, filepath.Ext(e.Name()))
		if want := map[bool]os.FileMode{true: 0o600, false: 0o644}[secret]; err != nil || info.Mode() != want {
			t.Errorf("%s has mode %v, %v, want %v", e.Name(), info.Mode(), err, want)
		}
	}
	if a, b := read("node-1.key"), read("node-2.key"); bytes.Equal(a, b) || !bytes.Equal(read("node-1.gossip"), read("node-2.gossip")) {
		t.Error("nodes share a private key, or not the key of gossip")
	}
	for _, name := range []string{"node-1.yaml", "node-2.yaml"} {
		if status, _, errs := once(t, nil, "config", "check", filepath.Join(dir, name)); status != statusFine {
			t.Errorf("config check %s: %s", name, errs)
		}
	}
	ca, cert := read(fileCA), read("node-1.crt")
	if _, errs := do(statusUsage, "--tls", "--nodes", "2"); !strings.Contains(errs, "node-1.crt, node-2.crt already") || !strings.Contains(errs, "--renew") {
		t.Errorf("a second time it says %s", errs)
	}
	if data, _ := do(statusFine, "--tls", "node-3", "gw=10.0.0.9"); !slices.Contains(data.Kept, fileCA) || !bytes.Equal(read("node-3.gossip"), read("node-1.gossip")) {
		t.Errorf("for more nodes it makes %+v", data)
	}
	if text := string(read("gw.yaml")); !strings.Contains(text, `peer: "10.0.0.9:7947"`) || !strings.Contains(string(read("node-3.yaml")), `grpc: "127.0.0.1:8101"`) {
		t.Errorf("the file of a node with a host is\n%s", text)
	}
	do(statusFine, "--tls", "--renew", "node-1")
	if !bytes.Equal(ca, read(fileCA)) || bytes.Equal(cert, read("node-1.crt")) {
		t.Error("--renew changes the CA, or not the certificate")
	}
	do(statusFine, "--tls", "--force", "node-1")
	if bytes.Equal(ca, read(fileCA)) {
		t.Error("--force keeps the CA")
	}
	for _, bad := range [][]string{{"x"}, {"--tls", "../x"}, {"--tls", "ca"}, {"--tls", "a", "a"}, {"--tls", "a="}, {"--tls", "a=h:1"}, {"--tls", "--renew", "nobody"}} {
		do(statusUsage, bad...)
	}
	dir = t.TempDir()
	do(statusFine)
	if status, _, errs := once(t, nil, "config", "check", filepath.Join(dir, "noria.yaml")); status != statusFine {
		t.Errorf("config check: %s", errs)
	}
	do(statusUsage)
}

// keys generate prints a key that a file of keys may have.
func TestKeysGenerate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	var all string
	for _, size := range []string{"16", "24", "32"} {
		status, out, errs := once(t, nil, "keys", "generate", "--bytes", size)
		if status != statusFine {
			t.Errorf("keys generate ends with %d, %s", status, errs)
		}
		all += out
	}
	if err := os.WriteFile(path, []byte(all), 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err := openKeyFile(path, nil); err != nil || len(f.ring.IDs()) != 3 {
		t.Errorf("openKeyFile: %v", err)
	}
	if status, _, errs := once(t, nil, "keys", "generate", "--bytes", "17"); status != statusUsage || !strings.Contains(errs, "want 16, 24 or 32") {
		t.Errorf("17 bytes: %d, %s", status, errs)
	}
}

// The lines of SECURITY.md can be typed: they are commands of this binary, with flags that there are.
func TestSecurityPage(t *testing.T) {
	page, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^(?:[A-Z_]+=\S+ )?(?:sudo )?noria (.*)$`).FindAllStringSubmatch(string(page), -1)
	if len(lines) < 10 {
		t.Fatalf("the page has %d lines to type", len(lines))
	}
	for _, l := range lines {
		for part := range strings.SplitSeq(l[1], "&& noria ") {
			text, _, _ := strings.Cut(part, " #")
			text, _, _ = strings.Cut(text, " < ")
			words := strings.Fields(strings.TrimSuffix(strings.TrimSpace(text), "&"))
			root := newRoot(&process{})
			cmd, rest, err := root.Find(words)
			if err != nil || cmd == root {
				t.Errorf("noria %s: %v", part, err)
				continue
			}
			flags := cmd.Flags()
			flags.SetInterspersed(true)
			if err := cmd.ParseFlags(rest); err != nil {
				t.Errorf("noria %s: %v", part, err)
			}
			if cmd.Args != nil {
				if err := cmd.Args(cmd, flags.Args()); err != nil && !strings.Contains(text, `"`) {
					t.Errorf("noria %s: %v", part, err)
				}
			}
		}
	}
	known := map[string]bool{}
	for _, c := range all(newRoot(&process{})) {
		c.Flags().VisitAll(func(f *pflag.Flag) { known["--"+f.Name] = true })
	}
	for _, flag := range regexp.MustCompile("--[a-z][a-z-]+").FindAllString(string(page), -1) {
		if !known[flag] && flag != "--cacert" {
			t.Errorf("the page names %s, which no command has", flag)
		}
	}
}

// A fleet of --secure wants TLS and tokens of whoever asks, and its commands show them.
func TestSecureFleet(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "secure")
	if status, _, errs := once(t, nil, "config", "init", "--tls", "--dir", dir, "--nodes", "2"); status != statusFine {
		t.Fatal(errs)
	}
	_, d := startFleet(t, "--nodes", "2", "--secure", dir)
	n, env := d.Nodes[1], []string{"NORIA_CLIENT_SECURE=" + dir}
	for _, c := range []struct {
		env  []string
		args []string
		want int
		says string
	}{
		{env, []string{"check", "k", "5/m", "--node", n.GRPC}, statusFine, "allowed"},
		{env, []string{"status", "--node", n.GRPC}, statusFine, "one of 2"},
		{env, []string{"ring", "k", "--admin", n.Admin}, statusFine, "PARTITION"},
		{env, []string{"keys", "list", "--admin", n.Admin}, statusFine, "All members have the same keys"},
		{env, []string{"keys", "rotate", "--admin", n.Admin}, statusFine, "remove"},
		{env, []string{"keys", "use", "0123", "--admin", n.Admin}, statusUsage, "install it first"},
		{env, []string{"bench", "--duration", "100ms", n.GRPC}, statusFine, ""},
		{nil, []string{"health", "--admin", n.Admin}, statusFine, "ready"},
		{nil, []string{"check", "k", "5/m", "--node", n.GRPC}, statusUnreachable, "--tls-ca"},
		{nil, []string{"check", "k", "5/m", "--node", n.GRPC, "--tls-ca", filepath.Join(dir, fileCA)}, statusUsage, "--token-file"},
		{nil, []string{"check", "k", "5/m", "--node", n.GRPC, "--tls", "--tls-name", "nobody"}, statusUnreachable, "certificate"},
		{nil, []string{"keys", "list", "--admin", n.Admin, "--tls-ca", filepath.Join(dir, fileCA), "--token-file", filepath.Join(dir, fileAPITokens)}, statusUsage, "not known here"},
		{nil, []string{"ring", "--admin", n.Admin}, statusUsage, "--secure DIR"},
	} {
		status, out, errs := once(t, c.env, c.args...)
		if status != c.want || !strings.Contains(out+errs, c.says) {
			t.Errorf("%v ends with %d, want %d and %q:\n%s%s", c.args, status, c.want, c.says, out, errs)
		}
	}
	if status, _, errs := once(t, nil, "fleet", "--free-ports", "--nodes", "3", "--secure", dir); status != statusUsage || !strings.Contains(errs, "node-3") {
		t.Errorf("a fleet with more nodes than certificates ends with %d, %s", status, errs)
	}
}
