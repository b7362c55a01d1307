package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/noriahq/noria/cluster/gossip"
)

// seek joins Config.Seeds, trying again until one answers.
func (n *Node) seek(ctx context.Context, g *gossip.Gossip) error {
	if len(n.config.Seeds) == 0 || n.config.Alone {
		n.setJoined()
	}
	if len(n.config.Seeds) == 0 {
		return nil
	}
	for wait := seekMin; ; wait = min(2*wait, seekMax) {
		err := n.join(ctx, g, n.config.Seeds)
		if err == nil || errors.Is(err, ErrNameTaken) || errors.Is(err, ErrMismatch) {
			return err
		}
		n.log.Warn("no seed answers, trying again", "err", err, "took", wait)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

const (
	seekMin = 500 * time.Millisecond
	seekMax = 5 * time.Second
)

func (n *Node) setJoined() { n.once.joined.Do(func() { close(n.joined) }) }

// Join asks the nodes at seeds, gossip addresses, for membership, and returns when one has answered and the node goes
// by what it said. It blocks until Run has opened the node's ports. Errors wrap ErrNoSeed if none answers, ErrMismatch,
// ErrNameTaken, or ctx's error.
func (n *Node) Join(ctx context.Context, seeds ...string) error {
	select {
	case <-n.opened:
	case <-ctx.Done():
		return ctx.Err()
	}
	n.mu.Lock()
	g := n.gossip
	n.mu.Unlock()
	if err := n.join(ctx, g, seeds); err != nil {
		return err
	}
	return n.settled(ctx, g)
}

// settled blocks until the node goes by a view with all members that gossip knows now.
func (n *Node) settled(ctx context.Context, g *gossip.Gossip) error {
	known := g.Members()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if v := n.view.Load(); v != nil && v.knows(known) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// knows says whether all members are in v.
func (v *view) knows(members []gossip.Member) bool {
	return !slices.ContainsFunc(members, func(m gossip.Member) bool { return v.member(m.ID) == nil })
}

// join joins seeds once.
func (n *Node) join(ctx context.Context, g *gossip.Gossip, seeds []string) error {
	met, err := g.Join(ctx, seeds)
	switch {
	case met > 0:
		n.setJoined()
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, gossip.ErrMismatch):
		return fmt.Errorf("%w: %w", ErrMismatch, err)
	}
	return fmt.Errorf("%w: %w", ErrNoSeed, err)
}
