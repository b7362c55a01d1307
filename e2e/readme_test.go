package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
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
	"github.com/noriahq/noria/e2e/transcript"
)

// What the README says that its commands print, they print.
func TestREADME(t *testing.T) {
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "README.md"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("there is no README.md yet")
	}
	if err != nil {
		t.Fatal(err)
	}
	commands, err := transcript.Parse(string(page))
	if err != nil {
		t.Fatalf("README.md: %v", err)
	}
	if len(commands) == 0 {
		t.Fatal("README.md has no ```console block: nothing that it says is checked")
	}
	curl(t)
	play(t, root, "README.md", commands)
}

// What the pages for operators say that commands print, they print.
func TestPages(t *testing.T) {
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	curl(t)
	for _, name := range []string{"cmd/noria/OPERATING.md", "transport/gubernator/MIGRATING.md", "transport/rls/MIGRATING.md"} {
		t.Run(name, func(t *testing.T) {
			page, err := os.ReadFile(filepath.Join(root, name))
			if err != nil {
				t.Fatal(err)
			}
			commands, err := transcript.Parse(string(page))
			if err != nil || len(commands) == 0 {
				t.Fatalf("%s has %d commands to check: %v", name, len(commands), err)
			}
			play(t, root, name, commands)
		})
	}
}

// play runs the commands of a page, one after the other, beside a fleet. The page's ports are the usual ones; here they are
// others, which are written in their place in commands and read back in what they print.
func play(t *testing.T, root, page string, commands []transcript.Command) {
	t.Helper()
	dir := checkout(t, root)
	var f *demoFleet
	for _, c := range commands {
		if startsFleet(c.Text) {
			if f != nil {
				f.Stop()
			}
			f = startFleet(t, nodesOf(c.Text), furtherOf(c.Text, dir)...)
			if got := strings.ReplaceAll(f.usual(f.Log.String()), dir+"/", ""); !c.Match(got) {
				t.Errorf("%s, %v: prints\n%s\nwant\n%s", page, c, got, strings.Join(c.Output, "\n"))
			}
			continue
		}
		if f == nil {
			f = startFleet(t, 3)
		}
		out, status := f.shell(t, dir, c.Text)
		if got := f.usual(out); !c.Match(got) || status != c.Status {
			t.Errorf("%s, %v: exit status %d, prints\n%s\nwant exit status %d and\n%s", page, c, status, got, c.Status, strings.Join(c.Output, "\n"))
		}
	}
	if f != nil {
		f.Stop()
	}
}

// checkout returns a folder that looks like the repository and may be written to, with the binary in bin.
func checkout(t *testing.T, root string) string {
	t.Helper()
	dir := t.TempDir()
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := e.Name(); name != "bin" && name != ".git" {
			if err := os.Symlink(filepath.Join(root, name), filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(harness.Build(t), filepath.Join(dir, "bin", "noria")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".curlrc"), []byte("no-progress-meter\n"), 0o644); err != nil {
		t.Fatal(err) // at a terminal there is none either
	}
	return dir
}

// startsFleet says whether a command is the one that a reader leaves running in another window.
func startsFleet(command string) bool {
	return regexp.MustCompile(`^(make run|(\S*/)?noria fleet|go run \S+ fleet)\b`).MatchString(command)
}

// nodesOf returns how many nodes a command starts.
func nodesOf(command string) int {
	if m := regexp.MustCompile(`--nodes[ =](\d+)`).FindStringSubmatch(command); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			return n
		}
	}
	return 3
}

// furtherOf returns the flags besides that a command, typed in dir, starts a fleet with.
func furtherOf(command, dir string) []string {
	if m := regexp.MustCompile(`--secure[ =](\S+)`).FindStringSubmatch(command); m != nil {
		return []string{"--secure", filepath.Join(dir, m[1])}
	}
	if strings.HasPrefix(command, "make run") || strings.Contains(command, "--demo") {
		return []string{"--demo"}
	}
	return nil
}

// A demoFleet is a running noria fleet, whose ports are as far above base as the usual ones are above 8080, with those of
// gossip and peers in between.
type demoFleet struct {
	*harness.Process
	base  int
	ports map[int]int // by the usual port
}

// startFleet starts noria fleet and returns when it has said all that it says at the start.
func startFleet(t *testing.T, nodes int, more ...string) *demoFleet {
	t.Helper()
	for range 50 {
		// As many digits as usual, so that columns are as wide; below the ports that connections are given.
		f := &demoFleet{base: 2000 + 100*rand.IntN(60), ports: map[int]int{}}
		for i := range nodes {
			for usual, offset := range map[int]int{8080: 0, 8081: 1, 8082: 2, 8083: 3, 7946: 6, 7947: 7} {
				f.ports[usual+10*i] = f.base + offset + 10*i
			}
		}
		f.Process = harness.StartProcess(t, "fleet", nil,
			append([]string{"fleet", "--nodes", strconv.Itoa(nodes), "--base-port", strconv.Itoa(f.base), "--peer-wait", "30s"}, more...)...)
		if f.started(t) {
			return f
		}
	}
	t.Fatal("noria fleet finds no free ports")
	return nil
}

// started blocks until the fleet has said what to type, and returns false if its ports are in use.
func (f *demoFleet) started(t *testing.T) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Hang)
	defer cancel()
	_, err := f.Log.Find(ctx, func(line string) bool { return strings.HasPrefix(line, "Ctrl-C") })
	if err == nil {
		return true
	}
	if !strings.Contains(f.Log.String(), "in use") {
		t.Fatalf("noria fleet: %v; it wrote\n%s", err, f.Log)
	}
	return false
}

// usual returns text with the usual ports and program in place of the fleet's.
func (f *demoFleet) usual(text string) string {
	if f.Process != nil {
		text = strings.ReplaceAll(text, f.Path(), "bin/noria")
	}
	back := map[int]int{}
	for usual, port := range f.ports {
		back[port] = usual
	}
	return swapPorts(text, back)
}

// swapPorts returns text with other ports on this machine.
func swapPorts(text string, ports map[int]int) string {
	return regexp.MustCompile(`\b(127\.0\.0\.1|localhost):(\d+)\b`).ReplaceAllStringFunc(text, func(addr string) string {
		host, text, _ := strings.Cut(addr, ":")
		port, err := strconv.Atoi(text)
		if to, ok := ports[port]; ok && err == nil {
			return fmt.Sprintf("%s:%d", host, to)
		}
		return addr
	})
}

// shell runs a command as a user of the fleet would type it, in dir, and returns what it prints and its exit status.
func (f *demoFleet) shell(t *testing.T, dir, command string) (out string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Hang)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", swapPorts(command, f.ports))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(),
		"CURL_HOME="+dir,
		"PATH="+filepath.Join(dir, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"),
		fmt.Sprintf("NORIA_CLIENT_NODE=127.0.0.1:%d", f.ports[8081]),
		fmt.Sprintf("NORIA_CLIENT_ADMIN=127.0.0.1:%d", f.ports[8082]))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that all it started ends with it
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	b, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Errorf("%s: %v", command, err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}

// Every line that noria fleet says can be typed next works as it stands, and all of them ask the same bucket.
func TestFleetLines(t *testing.T) {
	curl(t)
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	f := startFleet(t, 3, "--demo")
	f.typeLines(t, checkout(t, root))
	if status := f.Stop(); status != fine {
		t.Errorf("exit status of a fleet that was asked to stop: %d, want %d", status, fine)
	}
}

// typeLines types the lines that f says can be typed.
func (f *demoFleet) typeLines(t *testing.T, dir string) {
	t.Helper()
	var left []string
	lines := 0
	for _, line := range f.Log.Lines() {
		command := strings.TrimSpace(line)
		if !strings.HasPrefix(command, "curl ") && !strings.Contains(command, " check user:") {
			continue
		}
		lines++
		out, status := f.shell(t, dir, command)
		if status != fine {
			t.Errorf("%s: exit status %d\n%s", command, status, out)
		}
		if m := regexp.MustCompile(`\b(\d+) left|"remaining":(\d+)|\bremaining\s+(\d+)`).FindStringSubmatch(out); m != nil {
			left = append(left, strings.Join(m[1:], ""))
		}
	}
	if got := strings.Join(left, " "); lines < 3 || got != "4 3 2" {
		t.Errorf("%d lines to type, whose checks left %q of 5; want at least 3 that leave 4, 3 and 2\n%s", lines, got, f.Log)
	}
}

// The player notices a page that says something else than what is printed: the planted lie.
func TestPlayerNoticesLies(t *testing.T) {
	f := &demoFleet{ports: map[int]int{8083: 2003}}
	dir := t.TempDir()
	cases := []struct {
		page string
		want bool
	}{
		{"$ echo 127.0.0.1:8083\n127.0.0.1:8083\n", true},
		{"$ printf 127.0.0.1:; echo 2003\n127.0.0.1:8083\n", true},
		{"$ echo 127.0.0.1:8083 and more\n127.0.0.1:8083\n", false},
		{"$ echo one\ntwo\n", false},
		{"$ false\n", false},
		{"$ false\n# exit status 1\n", true},
	}
	for _, c := range cases {
		commands, err := transcript.Parse("```console\n" + c.page + "```\n")
		if err != nil {
			t.Fatal(err)
		}
		out, status := f.shell(t, dir, commands[0].Text)
		if got := commands[0].Match(f.usual(out)) && status == commands[0].Status; got != c.want {
			t.Errorf("%q prints %q with exit status %d; accepted: %v, want %v", commands[0].Text, out, status, got, c.want)
		}
	}
}
