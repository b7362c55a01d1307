package gossip

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// seeds are the addresses that Join was given and those that Config.Find returned last, at most 1,000 of each.
type seeds struct {
	mu    sync.Mutex
	list  []string // that Join was given and Find did not return; guarded by mu
	found []string // guarded by mu
	wrong string   // what Find said last was wrong; guarded by mu
}

func (s *seeds) add(addrs []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, addr := range addrs {
		if len(s.list) < seenMost && !slices.Contains(s.list, addr) && !slices.Contains(s.found, addr) {
			s.list = append(s.list, addr)
		}
	}
}

func (s *seeds) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Clone(s.list)
	for _, addr := range s.found {
		if !slices.Contains(all, addr) {
			all = append(all, addr)
		}
	}
	return all
}

// note keeps what Find returned. It says whether err is news.
func (s *seeds) note(found []string, err error) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := ""
	if err != nil {
		text = err.Error()
	}
	news = text != s.wrong
	s.wrong = text
	if err == nil || len(found) > 0 { // names that cannot be looked up for a while are no reason to forget all
		s.found = slices.Clone(found[:min(len(found), seenMost)])
	}
	return news
}

// Find returns what Config.Find does, nothing without one. The node keeps the addresses, to look for others there, until
// Find is called again.
func (g *Gossip) Find(ctx context.Context) ([]string, error) {
	if g.config.Find == nil {
		return nil, nil
	}
	found, err := g.config.Find(ctx)
	if ctx.Err() == nil {
		g.seeds.note(found, err)
	}
	return found, err
}

// findAgain calls Config.Find and tells what is wrong, once.
func (g *Gossip) findAgain(ctx context.Context) {
	if g.config.Find == nil {
		return
	}
	found, err := g.config.Find(ctx)
	if ctx.Err() != nil {
		return
	}
	if news := g.seeds.note(found, err); news && err != nil {
		g.config.Logger.Warn("nodes cannot be looked for everywhere, trying again", "err", err, "took", g.config.RejoinInterval)
	}
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
		g.findAgain(ctx)
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
