package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/noriahq/noria/e2e/harness"
)

var shot = flag.String("shot", "", "write the picture of the console that the README shows to this `FILE`")

// A browser is headless Chromium that looks at a console.
type browser struct {
	t    *testing.T
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Scanner
	errs output
}

// openBrowser starts Chromium, and skips the test where there is none.
func openBrowser(t *testing.T) *browser {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed: install the Debian package of that name to test the console; CI has it")
	}
	n := findNode(t)
	b := &browser{t: t, cmd: exec.Command(n.program, "console.cjs", n.folder, chromium)}
	b.cmd.Stderr = &b.errs
	b.cmd.WaitDelay = 5 * time.Second
	if b.in, err = b.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	b.out = bufio.NewScanner(out)
	b.out.Buffer(nil, 16<<20)
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(hang, func() { _ = b.cmd.Process.Kill() }) // what waits for it ends
	t.Cleanup(func() {
		timer.Stop()
		_ = b.in.Close() // it ends then, and the browser with it
		done := time.AfterFunc(10*time.Second, func() { _ = b.cmd.Process.Kill() })
		defer done.Stop()
		_ = b.cmd.Wait() // how it ends does not matter
	})
	return b
}

// do has the browser do what command says and reads the answer into to, if that is not nil.
func (b *browser) do(command map[string]any, to any) {
	b.t.Helper()
	line, err := json.Marshal(command)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.in.Write(append(line, '\n')); err != nil {
		b.t.Fatalf("%s: %v\n%s", line, err, &b.errs)
	}
	if !b.out.Scan() {
		b.t.Fatalf("%s: the browser has ended: %v\n%s", line, b.out.Err(), &b.errs)
	}
	var answer struct {
		OK    json.RawMessage `json:"ok"`
		Error string          `json:"error"`
	}
	if err := json.Unmarshal(b.out.Bytes(), &answer); err != nil || answer.Error != "" {
		b.t.Fatalf("%s: %v %s\n%s", line, err, answer.Error, &b.errs)
	}
	if to != nil {
		if err := json.Unmarshal(answer.OK, to); err != nil {
			b.t.Fatalf("%s: %v", line, err)
		}
	}
}

// shoot puts a picture of the page into e2e/artifacts.
func (b *browser) shoot(name string) {
	b.t.Helper()
	root, err := harness.Root()
	if err != nil {
		b.t.Fatal(err)
	}
	dir := filepath.Join(root, "e2e", "artifacts", "console")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	b.do(map[string]any{"do": "shoot", "path": filepath.Join(dir, name+".png"), "full": true}, nil)
}

// A sight is what the page shows.
type sight struct {
	Title, Status, Banner, Wheel, Inspector, Tried string
	HotNote, TokenWrong                            string // of what is locked, and of the token
	Locked, AsksToken                              bool
	TokenLeft                                      int // how long what stands in the field is
	Tiles                                          map[string]float64
	Arcs, Tags                                     []string
	Members                                        []struct {
		ID, Health, Version string
		Held, Rate          float64
	}
	Hot []struct {
		Key  string
		Rate float64
	}
	Events                     []struct{ Kind, Text string }
	Chart                      []bool
	SeenRows                   []string
	Wrong, Foreign             []string
	Wide, Unlabelled, Injected int
}

// held returns the partitions of all members, and of who is well.
func (s *sight) held() (sum float64, well []string) {
	for _, m := range s.Members {
		sum += m.Held
		if m.Health == "Well" {
			well = append(well, m.ID)
		}
	}
	return sum, well
}

// has says whether an event of that kind is shown whose text has the words.
func (s *sight) has(kind, words string) bool {
	for _, e := range s.Events {
		if e.Kind == kind && strings.Contains(e.Text, words) {
			return true
		}
	}
	return false
}

// until looks at the page until ok says that it shows what it should.
func (b *browser) until(what string, ok func(s *sight) bool) *sight {
	b.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		s := &sight{}
		b.do(map[string]any{"do": "see"}, s)
		if ok(s) {
			return s
		}
		if time.Now().After(deadline) {
			b.shoot("failed")
			text, _ := json.MarshalIndent(s, "", " ")
			b.t.Fatalf("the console does not show %s a minute later; it shows\n%s", what, text)
		}
	}
}

// load asks nodes for keys, few of which come often, until the test ends. A node that does not answer is not asked again.
func load(t *testing.T, nodes []*harness.Node, callers int, pause time.Duration) {
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	t.Cleanup(func() { stop(); all.Wait() })
	clients := make([]harness.Client, len(nodes))
	for i, n := range nodes {
		clients[i] = n.HTTP()
	}
	for caller := range callers {
		all.Go(func() {
			mine := slices.Clone(clients)
			r := rand.New(rand.NewPCG(1, uint64(caller)))
			zipf := rand.NewZipf(r, 1.3, 4, 400)
			for i := 0; ctx.Err() == nil && len(mine) > 0; i++ {
				at := i % len(mine)
				if _, err := mine[at].Check(ctx, harness.Check{Key: fmt.Sprintf("user:%03d", zipf.Uint64()), Limit: "10/s burst 40"}); err != nil {
					var p *harness.Problem
					if !errors.As(err, &p) {
						mine = slices.Delete(mine, at, at+1)
					}
				}
				select {
				case <-ctx.Done():
				case <-time.After(pause):
				}
			}
		})
	}
}

// startNamed starts nodes of these names that find each other.
func startNamed(t *testing.T, label string, names ...string) []*harness.Node {
	t.Helper()
	var nodes []*harness.Node
	for _, name := range names {
		nodes = append(nodes, joinNamed(t, label, name, nodes))
	}
	return nodes
}

func joinNamed(t *testing.T, label, name string, to []*harness.Node, args ...string) *harness.Node {
	t.Helper()
	var seeds []string
	for _, n := range to {
		if n.Alive() {
			seeds = append(seeds, n.Addr.Gossip)
		}
	}
	n := harness.Serve(t, name, seeds, nil, append([]string{"--label", label}, args...)...)
	n.WaitReady()
	return n
}

// The console of a running fleet shows what is true of it, follows a death and a join, says what is known of a key, and nothing
// that a key or a node is called becomes part of the page.
func TestConsole(t *testing.T) {
	b := openBrowser(t)
	nodes := startNamed(t, fmt.Sprintf("console-%d", time.Now().UnixNano()), "delta", "mill", "spring")
	load(t, nodes, 6, 15*time.Millisecond)
	b.do(map[string]any{"do": "theme", "dark": false}, nil)
	b.do(map[string]any{"do": "open", "url": "http://" + nodes[0].Addr.Admin + "/console"}, nil)

	s := b.until("three members under load", func(s *sight) bool {
		sum, well := s.held()
		return len(well) == 3 && sum == 16384 && s.Tiles["Decisions/s"] > 20 && len(s.Hot) > 3 && s.Hot[0].Key == "user:000" && len(s.Arcs) == 3 && s.Chart[0]
	})
	status, err := nodes[1].Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Members[1].Held; got != float64(status.Partitions) {
		t.Errorf("the page says that %s holds %.0f partitions, it says %d itself", s.Members[1].ID, got, status.Partitions)
	}
	b.look(t, s.Hot[0].Key)
	b.shoot("light")
	var low []string
	if b.do(map[string]any{"do": "contrast"}, &low); len(low) > 0 {
		t.Errorf("in light these texts have too little contrast:\n%s", strings.Join(low, "\n"))
	}
	var paper [2]string
	b.do(map[string]any{"do": "paper"}, &paper[0])
	b.do(map[string]any{"do": "theme", "dark": true}, nil)
	b.do(map[string]any{"do": "paper"}, &paper[1])
	if b.do(map[string]any{"do": "contrast"}, &low); paper[0] == paper[1] || len(low) > 0 {
		t.Errorf("in dark the paper is %s, in light %s; too little contrast:\n%s", paper[1], paper[0], strings.Join(low, "\n"))
	}
	b.shoot("dark")
	b.do(map[string]any{"do": "theme", "dark": false}, nil)

	nodes[2].Kill()
	s = b.until("the death of spring", func(s *sight) bool {
		sum, well := s.held()
		return sum == 16384 && len(well) == 2 && len(s.Arcs) == 2 && s.has("dead", "spring") && s.has("promoted", "")
	})
	if m := s.Members[2]; m.ID != "spring" || m.Health != "Gone" || !slices.Contains(s.Tags, "spring") {
		t.Errorf("of who died the page says %+v, and the wheel is labelled %v", m, s.Tags)
	}
	b.shoot("killed")

	const hostile = `<b><i>x</i></b><img src=x>`
	nodes = append(nodes, joinNamed(t, status.Label, hostile, nodes))
	b.until("who joined", func(s *sight) bool {
		sum, well := s.held()
		return sum == 16384 && len(well) == 3 && len(s.Arcs) == 3 && s.has("joined", hostile) && slices.Contains(well, hostile)
	})
	b.look(t, `<script>alert("key")</script>`)

	b.do(map[string]any{"do": "size", "width": 390, "height": 844, "phone": true}, nil)
	s = b.until("the same on a phone", func(s *sight) bool { return len(s.Arcs) == 3 && len(s.Hot) > 3 })
	if s.Wide > 0 {
		t.Errorf("on a phone the page is %d px too wide", s.Wide)
	}
	b.shoot("phone")
	if len(s.Wrong) > 0 || len(s.Foreign) > 0 || s.Injected > 0 || s.Unlabelled > 0 {
		t.Errorf("the browser's console says %q; asked for elsewhere: %q; %d elements made of names, %d fields without a label", s.Wrong, s.Foreign, s.Injected, s.Unlabelled)
	}

	began := time.Now()
	if status := nodes[0].Stop(); status != 0 || time.Since(began) > 20*time.Second {
		t.Errorf("the node that is looked at stopped with status %d after %v", status, time.Since(began))
	}
	b.until("that the node is gone", func(s *sight) bool { return strings.Contains(s.Banner, "Trying again") && s.Status == "No connection" })
	harness.Serve(t, "delta", []string{nodes[1].Addr.Gossip}, nil, "--label", status.Label, "--admin", nodes[0].Addr.Admin).WaitReady()
	b.until("the fleet again once the node is back", func(s *sight) bool {
		sum, well := s.held()
		return s.Banner == "" && sum == 16384 && len(well) == 3 && len(s.Hot) > 3
	})
}

// Where the admin port has tokens, the page shows the fleet to whoever reaches it, and keys to who shows a token that the node knows,
// and says so of any other token. A token that is taken out of the file while somebody looks is good no more.
func TestConsoleUnlock(t *testing.T) {
	b := openBrowser(t)
	dir := filepath.Join(t.TempDir(), "secure")
	if r := harness.Run(t, nil, "config", "init", "--tls", "--dir", dir, "one", "two"); r.Status != 0 {
		t.Fatalf("config init: status %d\n%s%s", r.Status, r.Stdout, r.Stderr)
	}
	tokens := filepath.Join(dir, "admin.tokens")
	file, err := os.ReadFile(tokens)
	if err != nil {
		t.Fatal(err)
	}
	token := strings.Fields(string(file))[1]
	label := fmt.Sprintf("unlock-%d", time.Now().UnixNano())
	var nodes []*harness.Node
	for _, name := range []string{"one", "two"} {
		nodes = append(nodes, joinNamed(t, label, name, nodes, "--admin-tls-cert", filepath.Join(dir, name+".crt"),
			"--admin-tls-key", filepath.Join(dir, name+".key"), "--admin-token-file", tokens))
	}
	load(t, nodes, 4, 15*time.Millisecond)
	url := "https://" + nodes[0].Addr.Admin

	b.do(map[string]any{"do": "theme", "dark": false}, nil)
	b.do(map[string]any{"do": "open", "url": url + "/console"}, nil)
	s := b.until("a fleet without keys", func(s *sight) bool { return len(s.Members) == 2 && s.Tiles["Decisions/s"] > 20 && s.Locked })
	if len(s.Hot) > 0 || !strings.Contains(s.Inspector, "Keys are for admins.") || !strings.Contains(s.HotNote, "Keys are for admins.") {
		t.Errorf("without a token the page shows the hot keys %v, %q, and of a key %q", s.Hot, s.HotNote, s.Inspector)
	}
	for _, wrong := range []string{"of-nobody-0123456789", "with a space"} {
		b.do(map[string]any{"do": "unlock", "token": wrong}, nil)
		s = b.until("that the token "+wrong+" is wrong", func(s *sight) bool { return s.AsksToken && s.TokenWrong != "" })
		if want := map[bool]string{true: "does not know this token", false: "no spaces"}[wrong[0] == 'o']; !strings.Contains(s.TokenWrong, want) || len(s.Hot) > 0 || !s.Locked {
			t.Errorf("of the token %q the page says %q, want %q, and shows %v", wrong, s.TokenWrong, want, s.Hot)
		}
	}
	b.shoot("refused")
	b.do(map[string]any{"do": "unlock", "token": token}, nil)
	s = b.until("hot keys", func(s *sight) bool { return !s.AsksToken && len(s.Hot) > 3 && s.Hot[0].Key == "user:000" && !s.Locked })
	if s.TokenLeft > 0 || s.Banner != "" {
		t.Errorf("%d characters of the token stay in the field; the banner says %q", s.TokenLeft, s.Banner)
	}
	b.look(t, s.Hot[0].Key)
	b.shoot("unlocked")
	b.do(map[string]any{"do": "size", "width": 390, "height": 844, "phone": true}, nil)
	b.do(map[string]any{"do": "theme", "dark": true}, nil)
	s = b.until("hot keys on a phone, with the token of before", func(s *sight) bool { return len(s.Hot) > 3 && !s.Locked }) // it loads the page anew
	b.look(t, s.Hot[0].Key)
	b.shoot("unlocked-phone")
	if len(s.Wrong) > 0 || len(s.Foreign) > 0 || s.Wide > 0 {
		t.Errorf("the browser's console says %q; asked for elsewhere: %q; on a phone the page is %d px too wide", s.Wrong, s.Foreign, s.Wide)
	}

	if err := os.WriteFile(tokens, []byte("ops of-tomorrow-0123456789\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.until("that the token is known no more", func(s *sight) bool {
		return s.Locked && len(s.Hot) == 0 && strings.Contains(s.HotNote, "does not know your token any more") && !strings.Contains(s.Inspector, "Heir")
	})

	b.do(map[string]any{"do": "tab", "password": "of-tomorrow-0123456789"}, nil)
	b.do(map[string]any{"do": "open", "url": url + "/login"}, nil)
	b.until("hot keys after a browser's own question", func(s *sight) bool { return len(s.Hot) > 3 && !s.Locked })
}

// look looks at a key and makes a test check.
func (b *browser) look(t *testing.T, key string) {
	t.Helper()
	b.do(map[string]any{"do": "look", "key": key}, nil)
	b.until("where "+key+" is", func(s *sight) bool { return strings.Contains(s.Inspector, "Heir") })
	b.do(map[string]any{"do": "check", "limit": "10/s burst 40"}, nil)
	s := b.until("a test check of "+key, func(s *sight) bool {
		return strings.Contains(s.Tried, "Decided by") && len(s.SeenRows) > 0 && strings.Contains(s.Inspector, "term")
	})
	if !strings.Contains(s.Inspector, "of 40") && !strings.Contains(s.Inspector, "Full") {
		t.Errorf("the level of %s is not shown: %s", key, s.Inspector)
	}
}

// With -shot this makes the picture that the README shows: four nodes, under load for a while, one of which has just joined.
func TestShot(t *testing.T) {
	if *shot == "" {
		t.Skip("it makes a picture with -shot FILE")
	}
	path, err := filepath.Abs(*shot)
	if err != nil {
		t.Fatal(err)
	}
	b := openBrowser(t)
	nodes := startNamed(t, "shop", "fra-1", "fra-2", "ams-1")
	load(t, nodes, 12, 12*time.Millisecond)
	b.do(map[string]any{"do": "theme", "dark": false, "moving": true}, nil)
	b.do(map[string]any{"do": "open", "url": "http://" + nodes[0].Addr.Admin + "/console", "width": 1360, "height": 1000}, nil)
	time.Sleep(45 * time.Second) // so that there is something to see
	nodes = append(nodes, joinNamed(t, "shop", "ams-2", nodes))
	load(t, nodes[3:], 4, 12*time.Millisecond)
	b.until("four members", func(s *sight) bool { _, well := s.held(); return len(well) == 4 && len(s.Arcs) == 4 })
	time.Sleep(12 * time.Second)
	b.do(map[string]any{"do": "shoot", "path": path}, nil)
}
