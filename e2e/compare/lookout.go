package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"
)

// A lookout is a process with a thread on each processor that wants to run every lookoutPeriod, before all that are not of the
// kernel. Where one runs late nobody could have run there: the kernel was busy, or the processor is a virtual machine's and its host had
// other things to do with it. So what others lose by that is told from what is theirs.
type lookout struct {
	command *exec.Cmd
	stdin   io.Closer // its end tells the process to tell and to end
	out     bytes.Buffer
}

// lookoutCommand is the first argument of the tool that makes it such a process.
const lookoutCommand = "lookout"

const (
	lookoutPeriod = 200 * time.Microsecond
	lookoutLate   = 50 * time.Microsecond // what is not worth telling
	lookoutMost   = 1 << 18               // times that it is late, of each processor
)

// A span is from when until when, in nanoseconds of the machine's monotonic clock.
type span struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// watchOut starts a lookout and returns once it watches. Where the system has none, or does not let us, that is an error.
func watchOut(ctx context.Context) (*lookout, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	l := &lookout{command: exec.CommandContext(ctx, self, lookoutCommand)}
	l.command.Stdout, l.command.SysProcAttr = &l.out, attributes()
	if l.stdin, err = l.command.StdinPipe(); err != nil {
		return nil, err
	}
	ready, err := l.command.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := l.command.Start(); err != nil {
		return nil, err
	}
	said, err := io.ReadAll(ready) // it closes that when it is ready
	if len(said) > 0 {
		err = fmt.Errorf("lookout: %s", bytes.TrimSpace(said))
	}
	if err != nil {
		_, _ = l.stop() // it ends by itself, with the same complaint
		return nil, err
	}
	return l, nil
}

// stop ends the lookout and returns when some processor was not to be had, in order, and without overlaps.
func (l *lookout) stop() ([]span, error) {
	if err := l.stdin.Close(); err != nil {
		return nil, err
	}
	if err := l.command.Wait(); err != nil {
		return nil, err
	}
	var late []span
	if err := json.Unmarshal(l.out.Bytes(), &late); err != nil {
		return nil, err
	}
	return merged(late), nil
}

// merged returns the spans in which at least one of late is, in order.
func merged(late []span) (all []span) {
	slices.SortFunc(late, func(a, b span) int { return int(a.From - b.From) })
	for _, s := range late {
		if last := len(all) - 1; last >= 0 && s.From <= all[last].To {
			all[last].To = max(all[last].To, s.To)
			continue
		}
		all = append(all, s)
	}
	return all
}

// within returns how much of s late is, which merged has made.
func (s span) within(late []span) (sum int64) {
	first, _ := slices.BinarySearchFunc(late, s.From, func(l span, from int64) int { return int(l.To - from) })
	for _, l := range late[first:] {
		if l.From >= s.To {
			break
		}
		sum += min(s.To, l.To) - max(s.From, l.From)
	}
	return sum
}
