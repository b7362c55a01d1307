package chaos

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// A node is one process.
type node struct {
	name  string
	cmd   *exec.Cmd
	log   *nodeLog
	ended chan struct{} // closed once it has ended and its output is read

	asked  bool // it was told to end; guarded by fleet.mu
	frozen bool // guarded by fleet.mu
}

// startNode starts a process. Variables whose names start with NORIA_ are not inherited: they are this command's. It is in
// a group of its own, so that Ctrl-C ends the run and not the nodes.
func startNode(name string, args []string) (*node, error) {
	n := &node{name: name, cmd: exec.Command(args[0], args[1:]...), log: newNodeLog(), ended: make(chan struct{})}
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "NORIA_") {
			n.cmd.Env = append(n.cmd.Env, e)
		}
	}
	n.cmd.Stdout, n.cmd.Stderr = io.Discard, n.log
	n.cmd.SysProcAttr = attributes()
	n.cmd.WaitDelay = 2 * time.Second
	if err := n.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(n.ended)
		_ = n.cmd.Wait() // ProcessState tells
	}()
	return n, nil
}

// signal sends a signal. A process that has ended already is none of its business.
func (n *node) signal(sig syscall.Signal) error {
	if err := n.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %v to %s: %w", sig, n.name, err)
	}
	return nil
}

func (n *node) hasEnded() bool { return closed(n.ended) }
func (n *node) isReady() bool  { return closed(n.log.ready) }

// closed says whether a channel that carries nothing is closed.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
