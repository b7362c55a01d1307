package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A Process is one that the harness started.
type Process struct {
	Name string
	Log  *Log // standard output and standard error

	t     testing.TB
	cmd   *exec.Cmd
	ended chan struct{} // closed once the process has ended and its output is read
}

// StartProcess starts the noria binary with args, with env beside the environment, and ends it with the test. Variables
// whose names start with NORIA_ are not inherited: a developer's own must not decide on tests.
func StartProcess(t testing.TB, name string, env []string, args ...string) *Process {
	t.Helper()
	return startBinary(t, Build(t), name, env, args...)
}

// startBinary is StartProcess of another binary.
func startBinary(t testing.TB, binary, name string, env []string, args ...string) *Process {
	t.Helper()
	p := &Process{Name: name, Log: newLog(), t: t, ended: make(chan struct{})}
	p.cmd = exec.Command(binary, args...)
	p.cmd.Env = append(cleanEnv(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.Log, p.Log
	p.cmd.SysProcAttr = attributes()
	p.cmd.WaitDelay = 5 * time.Second // for output that a grandchild holds open
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // ExitStatus tells
		p.Log.end()
	}()
	t.Cleanup(p.discard)
	return p
}

// Path returns the path of the binary that p runs.
func (p *Process) Path() string { return p.cmd.Path }

// cleanEnv returns the environment without the variables that noria reads.
func cleanEnv() []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "NORIA_") {
			env = append(env, e)
		}
	}
	return env
}

// discard ends the process at the end of the test, fails the test if the process broke down, and keeps its log if the test
// failed.
func (p *Process) discard() {
	p.Kill()
	if line := breakdown(p.Log.Lines()); line != "" {
		p.t.Errorf("%s broke down: %s", p.Name, line)
	}
	if p.t.Failed() {
		keep(p.t, fmt.Sprintf("%s-%d", p.Name, p.Pid()), p.Log)
	}
}

// breakdown returns the line with which Go's runtime says that a program is wrong, "" if there is none.
func breakdown(lines []string) string {
	for _, line := range lines {
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") || line == "WARNING: DATA RACE" {
			return line
		}
	}
	return ""
}

// Pid returns the process's id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Ended returns a channel that is closed once the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Alive says whether the process has not ended.
func (p *Process) Alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Signal sends sig. A process that has ended already is none of its business.
func (p *Process) Signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("signal %v to %s: %v", sig, p.Name, err)
	}
}

// Wait blocks until the process has ended and returns its exit status, -1 if a signal ended it.
func (p *Process) Wait() int {
	p.t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(Hang):
		p.t.Fatalf("%s still runs after %v", p.Name, Hang)
		return -1
	}
}

// Kill ends the process as kill -9 does and blocks until it is gone.
func (p *Process) Kill() {
	p.t.Helper()
	p.Signal(syscall.SIGKILL)
	p.Wait()
}

// Stop asks the process to end, as an operator would, and returns its exit status. A node leaves gracefully.
func (p *Process) Stop() int {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
	return p.Wait()
}

// Pause freezes the process and blocks until it stands still: it keeps its ports and connections and answers nothing.
func (p *Process) Pause() {
	p.t.Helper()
	p.Signal(syscall.SIGSTOP)
	p.until("frozen", func() bool { return frozen(p.Pid()) })
}

// Resume lets a frozen process go on.
func (p *Process) Resume() {
	p.t.Helper()
	p.Signal(syscall.SIGCONT)
}

// until polls a state of the process that raises no event.
func (p *Process) until(what string, state func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(Hang); !state(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("%s is not %s after %v", p.Name, what, Hang)
		}
	}
}

// FindLine blocks until the process has written n lines that contain all of parts, and returns the n-th.
func (p *Process) FindLine(n int, parts ...string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), Hang)
	defer cancel()
	found := 0
	line, err := p.Log.Find(ctx, func(line string) bool {
		for _, part := range parts {
			if !strings.Contains(line, part) {
				return false
			}
		}
		found++
		return found == n
	})
	if err != nil {
		p.t.Fatalf("%s has not written %d lines with %q: %v; it wrote\n%s", p.Name, n, parts, err, p.Log)
	}
	return line
}

// A Result is what a command that ended by itself left.
type Result struct {
	Status         int // exit status
	Stdout, Stderr string
}

// Run runs the noria binary with args, with env beside the environment, to its end.
func Run(t testing.TB, env []string, args ...string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Hang)
	defer cancel()
	var stdout, stderr strings.Builder
	cmd := exec.CommandContext(ctx, Build(t), args...)
	cmd.Env = append(cleanEnv(), env...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = attributes()
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("%v\n%s%s", fmt.Errorf("noria %s: %w", strings.Join(args, " "), errors.Join(err, ctx.Err())), &stdout, &stderr)
	}
	return Result{Status: cmd.ProcessState.ExitCode(), Stdout: stdout.String(), Stderr: stderr.String()}
}
