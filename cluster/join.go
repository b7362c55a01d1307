package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/noriahq/noria/cluster/gossip"
)

// seeks says whether there is anybody to join.
func (c Config) seeks() bool { return len(c.Seeds) > 0 || c.FindSeeds != nil }

// seek joins Config.Seeds and what Config.FindSeeds finds, trying again until one answers.
func (n *Node) seek(ctx context.Context, g *gossip.Gossip) error {
	if !n.config.seeks() || n.config.Alone {
		n.setJoined()
	}
	if !n.config.seeks() {
		return nil
	}
	began := time.Now()
	for wait := seekMin; ; wait = min(2*wait, seekMax) {
		err := n.seekOnce(ctx, g, time.Since(began) >= aloneAfter)
		if err == nil || errors.Is(err, ErrNameTaken) || errors.Is(err, ErrMismatch) {
			return err
		}
		if errors.Is(err, errNobodyElse) {
			n.log.Info("nobody else is found yet, looking again", "took", wait)
		} else {
			n.log.Warn("no seed answers, trying again", "err", err, "took", wait)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

const (
	seekMin    = 500 * time.Millisecond
	seekMax    = 5 * time.Second
	aloneAfter = 3 * time.Second // that only its own address is found before a node is the first
	seekMost   = 16              // addresses of those found that are tried at once
)

// errNobodyElse says that no address was found but the node's own.
var errNobodyElse = errors.New("nobody but this node is found")

// seekOnce joins all Seeds and some of what FindSeeds finds. alone says whether the node may be the first if that is itself alone.
func (n *Node) seekOnce(ctx context.Context, g *gossip.Gossip, alone bool) error {
	found, wrong := g.Find(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	rand.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
	seeds := append(slices.Clone(n.config.Seeds), found[:min(len(found), seekMost)]...)
	if len(seeds) == 0 {
		if wrong == nil {
			wrong = errors.New("no address is found")
		}
		return fmt.Errorf("%w: %w", ErrNoSeed, wrong)
	}
	met, err := n.meet(ctx, g, seeds)
	switch {
	case err != nil && wrong != nil:
		return fmt.Errorf("%w; %w", err, wrong)
	case err != nil:
		return err
	}
	if met == 0 && n.config.FindSeeds != nil {
		if wrong != nil {
			return fmt.Errorf("%w: %w", ErrNoSeed, wrong)
		}
		if !alone {
			return errNobodyElse
		}
		n.log.Info("nobody else is found, this node is the first")
	}
	n.setJoined()
	return nil
}

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
	_, err := n.meet(ctx, g, seeds)
	if err == nil {
		n.setJoined()
	}
	return err
}

// meet joins seeds once and returns how many nodes answered: 0 without an error where all seeds are this node itself.
func (n *Node) meet(ctx context.Context, g *gossip.Gossip, seeds []string) (met int, err error) {
	met, err = g.Join(ctx, seeds)
	switch {
	case met > 0, err == nil:
		return met, nil
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case errors.Is(err, gossip.ErrMismatch):
		return 0, fmt.Errorf("%w: %w", ErrMismatch, err)
	}
	return 0, fmt.Errorf("%w: %w", ErrNoSeed, err)
}
