package chaos

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
)

// kept is how many of a node's last lines are kept.
const kept = 50

// A nodeLog reads what a node writes, in lines, and keeps the last ones. It is an io.Writer.
type nodeLog struct {
	ready chan struct{} // closed with the line that says so

	mu      sync.Mutex
	rest    []byte    // what came after the last whole line; guarded by mu
	lines   []string  // guarded by mu
	addrs   addresses // guarded by mu
	changed int       // how often the members did; guarded by mu
	broke   string    // the line with which Go's runtime says that a program is wrong; guarded by mu
}

// addresses are where a node listens, as its line "ready" tells.
type addresses struct {
	API    string `json:"api"`
	GRPC   string `json:"grpc"`
	Admin  string `json:"admin"`
	Gossip string `json:"gossip"`
}

// newNodeLog returns an empty log.
func newNodeLog() *nodeLog { return &nodeLog{ready: make(chan struct{})} }

// Write implements io.Writer.
func (l *nodeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			break
		}
		l.line(string(line))
		l.rest = rest
	}
	if len(l.rest) > 64<<10 {
		l.rest = nil // no line of ours is that long
	}
	return len(p), nil
}

// line takes in a line. l.mu must be held.
func (l *nodeLog) line(line string) {
	if l.lines = append(l.lines, line); len(l.lines) > kept {
		l.lines = l.lines[1:]
	}
	switch {
	case strings.Contains(line, `"msg":"members changed"`):
		l.changed++
	case strings.Contains(line, `"msg":"ready"`) && l.addrs == addresses{}:
		if json.Unmarshal([]byte(line), &l.addrs) == nil {
			close(l.ready)
		}
	case strings.HasPrefix(line, "panic: "), strings.HasPrefix(line, "fatal error: "), line == "WARNING: DATA RACE":
		l.broke = line
	}
}

// addresses returns where the node listens, once ready.
func (l *nodeLog) addresses() addresses {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.addrs
}

// changes returns how often the members changed.
func (l *nodeLog) changes() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// breakdown returns how the node broke down, "" if it did not.
func (l *nodeLog) breakdown() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broke
}

// last returns the last lines, for an error.
func (l *nodeLog) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines)+len(l.rest) == 0 {
		return "it wrote nothing"
	}
	lines := l.lines[max(0, len(l.lines)-5):]
	return "it wrote\n" + strings.Join(append(lines[:len(lines):len(lines)], string(l.rest)), "\n")
}
