package gossip

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// seeds are the addresses that Join was given, at most 1,000.
type seeds struct {
	mu   sync.Mutex
	list []string // guarded by mu
}

func (s *seeds) add(addrs []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, addr := range addrs {
		if len(s.list) < seenMost && !slices.Contains(s.list, addr) {
			s.list = append(s.list, addr)
		}
	}
}

func (s *seeds) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.list)
}

// rejoin tries one missing address after another, one each Config.RejoinInterval. The first comes at a random time
// within the first interval, and at a random place, so that nodes that were started together spread.
func (g *Gossip) rejoin(ctx context.Context) {
	interval := g.config.RejoinInterval
	if interval == Never {
		return
	}
	rng := rand.New(rand.NewPCG(g.config.Boot, uint64(len(g.config.ID))))
	wait, turn := time.Duration(rng.Int64N(int64(interval))), rng.IntN(seenMost)
	for ; ; turn++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = interval
		if addrs := g.missing(); len(addrs) > 0 {
			g.tryAgain(ctx, addrs[turn%len(addrs)])
		}
	}
}

// missing returns the addresses where a member should be and is not: IP:port, and seeds by name.
func (g *Gossip) missing() []string {
	own := g.Addr()
	var addrs []string
	for _, seed := range g.seeds.all() {
		if seed != own && !g.roster.at(seed) {
			addrs = append(addrs, seed)
		}
	}
	for _, m := range g.View().Missing {
		if !slices.Contains(addrs, m.Gossip) && !g.roster.at(m.Gossip) {
			addrs = append(addrs, m.Gossip)
		}
	}
	return addrs
}

// tryAgain joins by a missing address, if somebody is there again.
func (g *Gossip) tryAgain(ctx context.Context, addr string) {
	ips, err := lookup(ctx, addr)
	if err != nil {
		g.config.Logger.Debug("seed cannot be looked up", "peer", addr, "err", err)
		return
	}
	for _, ip := range ips {
		if ip == g.Addr() || g.roster.at(ip) {
			continue
		}
		switch err := g.joinAddr(ctx, ip); {
		case err == nil:
			g.config.Logger.Info("found again", "peer", ip)
			return
		case ctx.Err() != nil:
			return
		default:
			g.config.Logger.Debug("still missing", "peer", ip, "err", err)
		}
	}
}
