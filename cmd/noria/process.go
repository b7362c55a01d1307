package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// A process is all that a command may touch of the world outside, so that tests can run commands in theirs.
type process struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	env            map[string]string
	program        string           // as it can be typed again
	signals        <-chan os.Signal // what asks to stop; nil for never
}

// run executes the command line args, the program's name first, and returns the exit status. env is as os.Environ has it.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer, env []string) int {
	program, args := typed(args[0]), args[1:]
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	p := &process{stdin: stdin, stdout: stdout, stderr: stderr, env: environ(env), program: program, signals: signals}
	return p.run(args)
}

// run is run in the world of p. A first signal ends the context of the command, which stops in its own way; a second one
// makes run return at once.
func (p *process) run(args []string) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	root := newRoot(p)
	root.SetArgs(append([]string{}, args...)) // nil would be os.Args
	ended := make(chan error, 1)
	go func() {
		ended <- root.ExecuteContext(ctx)
	}()
	for stopping := false; ; {
		select {
		case err := <-ended:
			return p.report(err)
		case <-p.signals:
			if stopping {
				return statusFailed
			}
			stopping = true
			cancel()
		}
	}
}

// typed returns what to type for the program that was started as name: a path in this folder is shortest from here.
func typed(name string) string {
	here, err := os.Getwd()
	if err != nil || !filepath.IsAbs(name) {
		return name
	}
	if path, err := filepath.Rel(here, name); err == nil && filepath.IsLocal(path) {
		return path
	}
	return name
}

// environ returns the variables of env by their names. Empty ones count as not set.
func environ(env []string) map[string]string {
	m := make(map[string]string, len(env))
	for _, e := range env {
		if name, value, ok := strings.Cut(e, "="); ok && value != "" {
			m[name] = value
		}
	}
	return m
}
