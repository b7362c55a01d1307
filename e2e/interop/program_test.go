package interop

import (
	"bytes"
	"net"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A program is a process that is not Noria's.
type program struct {
	name string
	cmd  *exec.Cmd
	out  output
}

// output is what a process writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

// String returns what was written.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// find returns the path of a program of a Debian package, and skips the test where it is not installed.
func find(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed: install the Debian package of that name to test the recipe in e2e/interop/%[1]s; CI has it", name)
	}
	return path
}

// launch starts a program in the folder dir, waits until it takes connections at addr, and ends it with the test.
func launch(t *testing.T, dir string, env []string, addr, path string, args ...string) *program {
	t.Helper()
	p := &program{name: path, cmd: exec.Command(path, args...)}
	p.cmd.Dir = dir
	p.cmd.Env = append(p.cmd.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.WaitDelay = 5 * time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = p.cmd.Wait() // how it ends does not matter
	}()
	t.Cleanup(func() { p.end(t, ended) })
	for deadline := time.Now().Add(hang); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
			return p
		}
		select {
		case <-ended:
			t.Fatalf("%s ended by itself; it wrote\n%s", path, &p.out)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s takes no connections at %s; it wrote\n%s", path, addr, &p.out)
		}
	}
}

// end ends p, with its own processes, and tells what it wrote if the test failed.
func (p *program) end(t *testing.T, ended <-chan struct{}) {
	t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // an error means that it has ended
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-ended
	}
	if t.Failed() {
		t.Logf("%s wrote\n%s", p.name, &p.out)
	}
}
