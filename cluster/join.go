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

func (n *Node) setJoined() { n.found.Do(func() { close(n.joined) }) }

// Join asks the nodes at seeds, gossip addresses, for membership, and returns when one has answered and all members that
// can be reached go by the ring that has this node in it, or some seconds later. It blocks until Run has opened the
// node's ports. Errors wrap ErrNoSeed if none answers, ErrMismatch, or ctx's error.
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
	known := g.Members()
	if err := n.poll(ctx, func() bool { v := n.view.Load(); return v != nil && v.knows(known) }); err != nil {
		return err
	}
	return n.agree(ctx)
}

// poll calls done every few milliseconds until it says true, or ctx ends.
func (n *Node) poll(ctx context.Context, done func() bool) error {
	tick := time.NewTicker(pollTick)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

const pollTick = 10 * time.Millisecond

// knows says whether all members are in v.
func (v *view) knows(members []gossip.Member) bool {
	return !slices.ContainsFunc(members, func(m gossip.Member) bool { return v.member(m.ID) == nil })
}

// join joins seeds once.
func (n *Node) join(ctx context.Context, g *gossip.Gossip, seeds []string) error {
	met, err := g.Join(ctx, seeds)
	switch {
	case met > 0, err == nil: // with no error and nobody met all seeds are this node itself
		n.setJoined()
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, gossip.ErrMismatch):
		return fmt.Errorf("%w: %w", ErrMismatch, err)
	}
	return fmt.Errorf("%w: %w", ErrNoSeed, err)
}
