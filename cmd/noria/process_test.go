package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with the file testdata/name.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(got), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; go test -update writes it", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got, -update rewrites it):\n%s", path, diff)
	}
}

// once runs a command to its end.
func once(t *testing.T, env []string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	p := &process{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, env: environ(env)}
	status = p.run(args)
	return status, out.String(), errs.String()
}

// A running is a command under way.
type running struct {
	t        *testing.T
	out, err *lines
	signals  chan os.Signal
	ended    chan struct{}
	status   int // once ended is closed
}

// start runs a command until it ends by itself or the test does.
func start(t *testing.T, env []string, args ...string) *running {
	t.Helper()
	r := &running{t: t, out: newLines(), err: newLines(), signals: make(chan os.Signal, 2), ended: make(chan struct{})}
	p := &process{stdin: strings.NewReader(""), stdout: r.out, stderr: r.err, env: environ(env), program: "noria", signals: r.signals}
	go func() {
		defer close(r.ended)
		r.status = p.run(args)
	}()
	t.Cleanup(func() {
		r.stop()
		r.wait()
		if t.Failed() {
			t.Logf("%s: stdout:\n%s\nstderr:\n%s", args, r.out, r.err)
		}
	})
	return r
}

// stop sends a signal.
func (r *running) stop() {
	select {
	case r.signals <- syscall.SIGTERM:
	case <-r.ended:
	}
}

// patience is how long a test waits for what should come at once.
const patience = 30 * time.Second

// wait blocks until the command has ended and returns its status.
func (r *running) wait() int {
	r.t.Helper()
	select {
	case <-r.ended:
	case <-time.After(patience):
		r.t.Fatalf("the command does not end; stdout:\n%s\nstderr:\n%s", r.out, r.err)
	}
	return r.status
}

// line blocks until l, the output or the log of the command, has a line with text, and returns it.
func (r *running) line(l *lines, text string) string {
	r.t.Helper()
	for deadline := time.After(patience); ; {
		line, changed := l.find(text)
		if line != "" {
			return line
		}
		select {
		case <-changed:
		case <-r.ended:
			if line, _ := l.find(text); line != "" {
				return line
			}
			r.t.Fatalf("the command ended with %d and no line with %q; stdout:\n%s\nstderr:\n%s", r.status, text, r.out, r.err)
		case <-deadline:
			r.t.Fatalf("no line with %q; stdout:\n%s\nstderr:\n%s", text, r.out, r.err)
		}
	}
}

// lines keeps what is written to it. It is safe for concurrent use.
type lines struct {
	mu      sync.Mutex
	text    strings.Builder // guarded by mu
	changed chan struct{}   // closed and replaced at each write; guarded by mu
}

func newLines() *lines { return &lines{changed: make(chan struct{})} }

// Write implements io.Writer.
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(b)
	close(l.changed)
	l.changed = make(chan struct{})
	return len(b), nil
}

// String returns all that was written.
func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// find returns the first complete line with text, "" if there is none, and what is closed when more is there.
func (l *lines) find(text string) (line string, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := range strings.Lines(l.text.String()) {
		if strings.HasSuffix(s, "\n") && strings.Contains(s, text) {
			return strings.TrimSuffix(s, "\n"), l.changed
		}
	}
	return "", l.changed
}

// A second signal ends a command that does not stop.
func TestSecondSignal(t *testing.T) {
	r, w := io.Pipe() // nobody reads: printing the help hangs
	defer r.Close()
	signals := make(chan os.Signal, 2)
	signals <- os.Interrupt
	signals <- os.Interrupt
	p := &process{stdin: strings.NewReader(""), stdout: w, stderr: io.Discard, signals: signals}
	if got := p.run([]string{"version"}); got != statusFailed {
		t.Errorf("two signals end with status %d, want %d", got, statusFailed)
	}
}
