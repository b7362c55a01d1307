package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A process is one that the tool started and ends.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser // its end tells the process to end
	ended chan struct{}  // closed when the process has ended
	lines chan string    // what it writes to standard error and standard output

	mu   sync.Mutex
	last []string // lines, for errors; guarded by mu
}

// start starts a program. Variables whose names start with NORIA_ are not inherited: those of whoever measures must not
// decide.
func start(name string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(name, args...), ended: make(chan struct{}), lines: make(chan string, 64)}
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "NORIA_") {
			p.cmd.Env = append(p.cmd.Env, e)
		}
	}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	p.cmd.Stdout, p.cmd.Stderr = in, in
	p.cmd.SysProcAttr = attributes()
	if p.stdin, err = p.cmd.StdinPipe(); err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	go func() {
		p.read(out)
		_ = p.cmd.Wait() // it was told to end, or whoever waits for a line finds out
		close(p.ended)
	}()
	return p, nil
}

// read takes in what the process writes, until it ends.
func (p *process) read(out io.ReadCloser) {
	defer out.Close()
	defer close(p.lines)
	for scan := bufio.NewScanner(out); scan.Scan(); {
		line := scan.Text()
		p.mu.Lock()
		p.last = append(p.last[max(0, len(p.last)-19):], line)
		p.mu.Unlock()
		p.pass(line)
	}
}

// pass passes a line to whoever waits for one; where nobody does, the oldest one makes room.
func (p *process) pass(line string) {
	for {
		select {
		case p.lines <- line:
			return
		default:
		}
		select {
		case <-p.lines:
		default:
		}
	}
}

// pid returns the process's id.
func (p *process) pid() int { return p.cmd.Process.Pid }

// find returns the first line with part in it.
func (p *process) find(ctx context.Context, part string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				return "", p.complaint("it ended")
			}
			if strings.Contains(line, part) {
				return line, nil
			}
		case <-ctx.Done():
			return "", p.complaint(ctx.Err().Error())
		}
	}
}

// kill ends the process at once, as those may end whose memory nobody wants any more, and waits until it has.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // one that has ended is no worse
	<-p.ended
	_ = p.stdin.Close() // likewise
}

// complaint returns an error with what the process wrote last.
func (p *process) complaint(why string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Errorf("%s: %s; it wrote\n%s", p.cmd.Path, why, strings.Join(p.last, "\n"))
}

// end asks the process to end, makes it if it does not, and waits until it has.
func (p *process) end() {
	_ = p.stdin.Close()                       // one that has ended has closed it
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // likewise
	late := time.AfterFunc(5*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	<-p.ended
}
