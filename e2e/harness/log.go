package harness

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
)

// A Log is what a process has written so far, in lines. It is an io.Writer and safe for concurrent use. It keeps
// everything: tests are short.
type Log struct {
	mu      sync.Mutex
	lines   []string      // complete ones; guarded by mu
	rest    []byte        // what came after the last of them; guarded by mu
	ended   bool          // nothing comes any more; guarded by mu
	changed chan struct{} // closed and replaced when one of the above changes; guarded by mu
}

// newLog returns an empty log.
func newLog() *Log { return &Log{changed: make(chan struct{})} }

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			break
		}
		l.lines = append(l.lines, string(line))
		l.rest = rest
	}
	l.wake()
	return len(p), nil
}

// end says that nothing comes any more.
func (l *Log) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.rest) > 0 {
		l.lines, l.rest = append(l.lines, string(l.rest)), nil
	}
	l.ended = true
	l.wake()
}

// wake wakes those who wait for a change. l.mu must be held.
func (l *Log) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// Lines returns the complete lines so far.
func (l *Log) Lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines[:len(l.lines):len(l.lines)]
}

// String returns all lines.
func (l *Log) String() string { return strings.Join(l.Lines(), "\n") }

// Find blocks until there is a line that match likes, and returns it. Each line is shown to match once, in order. It
// returns an error if the log ends without one, or with ctx.
func (l *Log) Find(ctx context.Context, match func(line string) bool) (string, error) {
	for at := 0; ; {
		l.mu.Lock()
		lines, ended, changed := l.lines, l.ended, l.changed
		l.mu.Unlock()
		for ; at < len(lines); at++ {
			if match(lines[at]) {
				return lines[at], nil
			}
		}
		if ended {
			return "", fmt.Errorf("log ended after %d lines", len(lines))
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", fmt.Errorf("%d lines so far: %w", len(lines), ctx.Err())
		}
	}
}
