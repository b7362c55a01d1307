package main

import (
	"errors"
	"time"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/snapshot"
)

// saves are where and how often a node saves its buckets.
type saves struct {
	dir   string // "" for never
	every time.Duration
}

// addState defines the flags of s.
func addState(in section, s *saves) {
	in.path("state", "dir", "`DIR` in which this node alone saves its buckets, so that a stop of the whole fleet resets none (default: not saved)", &s.dir)
	in.add("state-every", "every", "`TIME` from one save to the next: what a crash of the whole fleet may give once more", of(&s.every, "duration", "10s", duration(100*time.Millisecond, time.Hour)))
}

// open returns the directory in which the node called name saves, nil for none.
func (s *saves) open(name, label string, role cluster.Role) (*snapshot.Dir, error) {
	if s.dir == "" {
		return nil, nil //nolint:nilnil // a node without one saves nothing
	}
	if role == cluster.RoleGateway {
		return nil, usagef("--state is %s, and --role is gateway: a gateway holds no keys that it could save; leave one of them out", s.dir)
	}
	d, err := snapshot.Open(s.dir, name, label)
	switch {
	case errors.Is(err, snapshot.ErrInUse):
		return nil, usagef("--state: %w: every node needs a directory of its own", err)
	case errors.Is(err, snapshot.ErrForeign):
		return nil, usagef("--state: %w", err)
	case errors.Is(err, snapshot.ErrVersion):
		return nil, usagef("--state: %w: start that release, or say another directory", err)
	case err != nil:
		return nil, usagef("--state: %w", err)
	}
	return d, nil
}
