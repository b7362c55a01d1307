package demo

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// A sender sends one answer.
type sender struct {
	plan plan
	w    http.ResponseWriter
	ctx  context.Context //nolint:containedctx // lives as long as the request that it is of
	sent int             // pieces
}

// pause waits for as long as the plan says, breaks the connection where it says so, and returns false if nobody listens
// any more.
func (s *sender) pause() bool {
	if s.sent == s.plan.broken {
		panic(http.ErrAbortHandler) // so net/http wants to be told
	}
	s.sent++
	if s.plan.pace == 0 {
		return s.ctx.Err() == nil
	}
	timer := time.NewTimer(s.plan.pace)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// whole sends v as the answer.
func (s *sender) whole(v any) {
	if s.pause() {
		writeJSON(s.w, v)
	}
}

// begin begins a stream.
func (s *sender) begin() {
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
}

// event sends an event with v as its data; name may be empty.
func (s *sender) event(name string, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		return // cannot be: v is made of strings and numbers
	}
	s.line(name, string(text))
}

// line sends an event with this data.
func (s *sender) line(name, data string) {
	text := "data: " + data + "\n\n"
	if name != "" {
		text = "event: " + name + "\n" + text
	}
	_, _ = s.w.Write([]byte(text)) // a client that is gone is noticed by its context
	_ = http.NewResponseController(s.w).Flush()
}

// texts calls send for each piece of the text, at the plan's pace, and returns false if nobody listens any more.
func (s *sender) texts(send func(text string)) bool {
	for _, text := range s.plan.parts() {
		if !s.pause() {
			return false
		}
		send(text)
	}
	if s.sent == s.plan.broken {
		panic(http.ErrAbortHandler) // so net/http wants to be told
	}
	return true
}
