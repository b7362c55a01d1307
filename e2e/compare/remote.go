package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
)

// The names of ways that targets speak of.
const (
	redisRate  = "go-redis/redis_rate on Redis"
	forwarded  = "Noria: Node.Check, key held by another node"
	publicGRPC = "Noria: public gRPC API, key held there"
	bareUnary  = "gRPC alone: empty unary service"
	bareTalk   = "gRPC alone: bare stream, message by message"
)

// manyCallers is how many callers ask at once where it is not one.
const manyCallers = 64

// A remoteCase is one way to ask from afar with a number of callers.
type remoteCase struct {
	Who     string `json:"who"`
	Callers int    `json:"callers"`
}

// A remote is what a remoteCase took.
type remote struct {
	remoteCase
	PerSecond samples `json:"per_second"`
	P50       samples `json:"p50_us"`
	P99       samples `json:"p99_us"`
	CPU       samples `json:"cpu_us"`            // a check, of all processes
	Failed    int64   `json:"failed,omitempty"`  // checks that were not decided as they should be
	Failure   string  `json:"failure,omitempty"` // the first of them
}

// remotes are the processes that are asked, and how.
type remotes struct {
	ways []way
	keys []string
	ends []func()
}

// openRemotes starts what there is to ask. What cannot be started is left out, and r.skip told why.
func (r *run) openRemotes(ctx context.Context) (*remotes, error) {
	rs := &remotes{}
	if r.options.local {
		return rs, nil
	}
	r.say("building and starting what is asked over the network")
	for i := range r.options.remoteKeys {
		rs.keys = append(rs.keys, key(i))
	}
	r.skip(redisRate, rs.openRedis(ctx, r))
	r.skip(forwarded+"; "+publicGRPC, rs.openPair(ctx, r.options.remoteKeys))
	r.skip(bareUnary+"; "+bareTalk, rs.openBare(ctx))
	return rs, rs.prime(ctx)
}

func (rs *remotes) openRedis(ctx context.Context, r *run) error {
	path, err := findRedis(ctx, r.options.redis, r.say)
	if err != nil {
		return err
	}
	s, err := startRedis(ctx, path)
	if err != nil {
		return err
	}
	r.results.Redis = s.version(ctx)
	rs.ends = append(rs.ends, s.end)
	rs.ways = append(rs.ways, s.way())
	return nil
}

func (rs *remotes) openPair(ctx context.Context, keys int) error {
	dir, err := os.MkdirTemp("", "noria-compare-")
	if err != nil {
		return err
	}
	rs.ends = append(rs.ends, func() { _ = os.RemoveAll(dir) }) // what is left is the system's to clear
	binary, err := buildNoria(ctx, dir)
	if err != nil {
		return err
	}
	p, err := startPair(ctx, binary, keys)
	if err != nil {
		return err
	}
	rs.ends = append(rs.ends, p.end)
	rs.keys = p.keys // any other key is as good for the rest
	return rs.add(p.ways())
}

func (rs *remotes) openBare(ctx context.Context) error {
	b, err := startBare(ctx)
	if err != nil {
		return err
	}
	rs.ends = append(rs.ends, b.end)
	return rs.add(b.addrs.ways(ctx, b.pid()))
}

// add adds ways, unless err is not nil.
func (rs *remotes) add(ways []way, err error) error {
	rs.ways = append(rs.ways, ways...)
	return err
}

// prime makes known what is to be known before.
func (rs *remotes) prime(ctx context.Context) error {
	for _, w := range rs.ways {
		if !w.remembers {
			continue
		}
		if err := prime(ctx, w, rs.keys); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	return nil
}

// end ends all processes.
func (rs *remotes) end() {
	for _, end := range slices.Backward(rs.ends) {
		end()
	}
}

// measureRemote asks every way with every number of callers.
func (r *run) measureRemote(ctx context.Context, rs *remotes) error {
	rand.Shuffle(len(rs.ways), func(i, j int) { rs.ways[i], rs.ways[j] = rs.ways[j], rs.ways[i] })
	for _, w := range rs.ways {
		for _, callers := range w.callers {
			l, err := load(ctx, w, callers, rs.keys, r.options.loadTime)
			if err != nil {
				return fmt.Errorf("%s with %d callers: %w", w.name, callers, err)
			}
			r.results.addRemote(remoteCase{Who: w.name, Callers: callers}, l)
		}
	}
	return nil
}
