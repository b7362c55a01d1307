package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/noriahq/noria/transport/console"
)

const (
	// silence is how long a stream may say nothing: longer than two of its heartbeats.
	silence = 25 * time.Second

	// lineMost is how long a line of a stream may be: a state with a hundred members and fifty long keys.
	lineMost = 4 << 20
)

// errSilent says that a stream has said nothing for too long.
var errSilent = errors.New("it is silent")

// A said is one event of a stream: of its data what the event's name says is set.
type said struct {
	event string
	state console.State
	told  []console.Told
	lost  int
}

// follow reads the stream at path of c's admin address until it ends, and calls take with all that it says. It returns ctx's error if
// that ends first, what take returns, and otherwise why there is no stream any more.
func (c *client) follow(ctx context.Context, path string, take func(said) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	alarm := time.AfterFunc(c.timeout, func() { cancel(errSilent) })
	defer alarm.Stop()
	web, r, err := c.page(ctx, path)
	if err != nil {
		return err
	}
	res, err := web.Do(r)
	if err != nil {
		return c.broken(ctx, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		body, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
		if err != nil {
			return c.broken(ctx, err)
		}
		return c.refused(res, body)
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, lineMost)
	var s said
	for alarm.Reset(silence); lines.Scan(); alarm.Reset(silence) {
		name, data, _ := bytes.Cut(lines.Bytes(), []byte(": "))
		switch string(name) {
		case "event":
			s = said{event: string(data)}
		case "data":
			if err := s.read(data); err != nil {
				return &exit{status: statusUnreachable, err: fmt.Errorf("what listens at %s is not a node's admin port: %w", c.admin, err)}
			}
			if err := take(s); err != nil {
				return err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return c.broken(ctx, err)
	}
	return &exit{status: statusUnreachable, err: fmt.Errorf("node at %s: it has ended the stream", c.admin)}
}

// read reads the data of s.
func (s *said) read(data []byte) error {
	switch s.event {
	case "state":
		return json.Unmarshal(data, &s.state)
	case "events":
		return json.Unmarshal(data, &s.told)
	case "lost":
		return json.Unmarshal(data, &s.lost)
	}
	return nil
}

// broken returns err, with which a stream ended.
func (c *client) broken(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errSilent):
		err = errSilent
	case cause != nil:
		return cause
	}
	if inner := errors.Unwrap(err); inner != nil {
		err = inner // what was asked for is said already
	}
	return unasked(c.admin, err)
}

// again says whether it may help to try again after err.
func again(err error) bool {
	var e *exit
	return errors.As(err, &e) && e.status == statusUnreachable
}

// keep is follow again and again until ctx ends, take returns an error, or trying again does not help. down is told why there is
// no stream and when the next try is. It returns nil if ctx ends.
func (c *client) keep(ctx context.Context, path string, take func(said) error, down func(err error, wait time.Duration) error) error {
	const least, most = 500 * time.Millisecond, 5 * time.Second
	wait := least
	for {
		err := c.follow(ctx, path, func(s said) error {
			wait = least
			return take(s)
		})
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it is over because it was to be
		}
		if !again(err) {
			return err
		}
		if err := down(err, wait); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, most)
	}
}

// keepTelling is keep for what prints lines: where there was a connection it says on p's stderr that there is none, and that there is
// one again. Where there was none it returns why.
func (c *client) keepTelling(ctx context.Context, p *process, path string, take func(said) error) error {
	var reached, lost bool
	return c.keep(ctx, path, func(s said) error {
		if lost {
			fmt.Fprintln(p.stderr, "noria: connected again")
		}
		reached, lost = true, false
		return take(s)
	}, func(err error, wait time.Duration) error {
		if !reached {
			return err
		}
		lost = true
		fmt.Fprintf(p.stderr, "noria: %v; trying again in %v\n", err, wait)
		return nil
	})
}
