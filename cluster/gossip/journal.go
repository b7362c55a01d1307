package gossip

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	journalLines = 256         // that wait to be written; more are dropped
	journalKeys  = 64          // warnings that are remembered as said
	journalQuiet = time.Minute // a warning is not said again for so long
)

// A journal takes log lines from memberlist and its callbacks, mostly under memberlist's lock, and hands them to a
// slog.Logger without that lock.
type journal struct {
	logger *slog.Logger
	lines  chan slog.Record
	troubles

	mu   sync.Mutex
	said map[string]time.Time // guarded by mu
}

func newJournal(logger *slog.Logger) *journal {
	return &journal{logger: logger, lines: make(chan slog.Record, journalLines), said: map[string]time.Time{}}
}

// run writes lines until ctx ends, and then those that are left.
func (j *journal) run(ctx context.Context) {
	for {
		select {
		case r := <-j.lines:
			_ = j.logger.Handler().Handle(ctx, r) // a log that cannot be written has nowhere to say so
		case <-ctx.Done():
			for len(j.lines) > 0 {
				_ = j.logger.Handler().Handle(ctx, <-j.lines) // as above
			}
			return
		}
	}
}

// warn says something that a person should know, once a minute for each key.
func (j *journal) warn(key, message string, attrs ...slog.Attr) {
	if j.fresh(key, time.Now()) {
		j.add(slog.LevelWarn, message, attrs...)
	}
}

// fresh says whether key was not used for a while.
func (j *journal) fresh(key string, now time.Time) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if at, ok := j.said[key]; ok && now.Sub(at) < journalQuiet {
		return false
	}
	if len(j.said) >= journalKeys {
		clear(j.said)
	}
	j.said[key] = now
	return true
}

func (j *journal) add(level slog.Level, message string, attrs ...slog.Attr) {
	if !j.logger.Enabled(context.Background(), level) {
		return
	}
	r := slog.NewRecord(time.Now(), level, message, 0)
	r.AddAttrs(attrs...)
	select {
	case j.lines <- r:
	default:
	}
}

// Write takes one line of memberlist, "[WARN] memberlist: text". Most of them are of use only to who looks for an error
// in gossip itself.
func (j *journal) Write(line []byte) (int, error) {
	text := string(bytes.TrimSpace(line))
	if _, after, ok := strings.Cut(text, "memberlist: "); ok {
		text = after
	}
	j.count(text)
	for _, w := range worthy() {
		if strings.Contains(text, w.part) {
			j.warn(w.part, w.message, slog.String("err", text))
			return len(line), nil
		}
	}
	j.add(slog.LevelDebug, "memberlist", slog.String("err", text))
	return len(line), nil
}

// A worth is a part of what memberlist says that a person should know of, and under which message.
type worth struct{ part, message string }

// worthy returns them, from most to least special.
func worthy() [9]worth {
	const other = "a member's gossip is encrypted with another key"
	return [...]worth{
		{"installed keys could decrypt", other}, // packets and streams
		{"remote state is encrypted and encryption is not configured", "a member's gossip is encrypted, and this node has no key"},
		{"encryption is configured but remote state is not encrypted", "a member's gossip is not encrypted, and this node's is"},
		{"Decrypt packet failed", "gossip came that is not encrypted with a key of this node"},
		{"without encryption", "memberlist"},         // a public address and no secret key
		{"UDP probes failed", "memberlist"},          // TCP gets through and UDP does not
		{"handler queue full", "memberlist"},         // more news than this node can take
		{"Refuting a suspect message", "memberlist"}, // others hear too little from this node
		{"Refuting a dead message", "memberlist"},
	}
}
