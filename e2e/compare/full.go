package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// A full is a process with a node that holds so many keys, and with the replicas of as many others: so it has what a node of a fleet
// has.
type full struct {
	Keys  int     `json:"keys"`
	Bytes float64 `json:"bytes_per_key"` // for holder and replica together, beyond the key's own of both

	Growing gaps `json:"growing"` // from one check of a new key to the next, while the tables grow
	Quiet   gaps `json:"quiet"`   // of the same keys once more

	Shard      float64 `json:"shard_longest_us"`       // that one shard stops while it grows to as many keys as it has at most
	ShardQuiet float64 `json:"shard_longest_quiet_us"` // the same once it does not grow

	GC    []*fullGC `json:"gc"`
	Blind string    `json:"blind,omitempty"` // why there was no lookout
}

// A fullGC is what garbage collections in a full process cost under one load, in turns with the others.
type fullGC struct {
	Load  string `json:"load"`
	Cost  gcCost `json:"cost"`
	Stood *stood `json:"stood,omitempty"` // in turns of its own, with a lookout beside it
}

// The loads of a full process.
const (
	askedFlat = "asked by two, flat out"
	hashFlat  = "not asked: two hash, flat out"
	askedCalm = "asked by one, half of the time"
)

// gaps are the times from one check to the next, in microseconds.
type gaps struct {
	P50     float64 `json:"p50_us"`
	P999    float64 `json:"p999_us"`
	Longest float64 `json:"longest_us"`
	Over    int64   `json:"over_1ms"`
	Again   int64   `json:"again"` // checks that the holder had not decided on, and that were made again; they are not in the others
}

// gapsOf returns what h, of nanoseconds, says.
func gapsOf(h *hdrhistogram.Histogram) gaps {
	g := gaps{P50: micros(h.ValueAtQuantile(50)), P999: micros(h.ValueAtQuantile(99.9)), Longest: micros(h.Max())}
	for _, b := range h.Distribution() {
		if b.From > int64(time.Millisecond) {
			g.Over += b.Count
		}
	}
	return g
}

// fullCommand is the first argument of the tool that makes it measure a full process and print what that found; the number of keys
// and of garbage collections follow.
const fullCommand = "full"

// fullCycles is how many garbage collections of each load are measured, and with a lookout as many again, if there is time: each stops
// all twice.
const fullCycles = 600

// fullTurns is how many turns each load has, one where only a few collections are asked for, and fullTurn how long one is at most. Each is
// two: one with a lookout, one without.
const (
	fullTurns = 5
	fullTurn  = 2 * time.Second
)

// measureFull measures a full process of n keys, in a process of its own, so that nothing else is in its memory.
func measureFull(ctx context.Context, n, cycles int) (*full, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, self, fullCommand, strconv.Itoa(n), strconv.Itoa(cycles))
	command.Stderr, command.SysProcAttr = os.Stderr, attributes()
	out, err := command.Output()
	if err != nil {
		return nil, err
	}
	f := &full{}
	return f, json.Unmarshal(out, f)
}

// serveFull is fullCommand.
func serveFull(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) != 2 {
		return errors.New("want a number of keys and one of garbage collections")
	}
	n, err := strconv.Atoi(args[0])
	cycles, also := strconv.Atoi(args[1])
	if err = errors.Join(err, also); err != nil {
		return err
	}
	f, err := fillUp(ctx, n, cycles)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(f)
}

// fillUp measures a full process, which is this one.
func fillUp(ctx context.Context, n, cycles int) (*full, error) {
	var err error
	f := &full{Keys: n}
	if f.Shard, f.ShardQuiet, err = growShard(); err != nil {
		return nil, err
	}
	ks := newKeySet(n, uint64(n))
	before := heap()
	alone, err := startNode(ctx, "full", "")
	if err != nil {
		return nil, err
	}
	defer alone.stop()
	l := askHere(alone)
	if f.Growing, err = walk(ctx, l, ks); err != nil {
		return nil, err
	}
	heir, err := replicate(n)
	if err != nil {
		return nil, err
	}
	f.Bytes = (heap()-before)/float64(n) - 2*keyBytes
	if f.Quiet, err = walk(ctx, l, ks); err != nil {
		return nil, err
	}
	err = f.collect(ctx, cycles, gcLoad{l, ks, 2, 0}, gcLoad{nothing(), ks, 2, 0}, gcLoad{l, ks, 1, calmRest})
	runtime.KeepAlive(heir)
	return f, err
}

// calmRest is how long who asks calmly rests after each step of some tens of microseconds.
const calmRest = 50 * time.Microsecond

// collect measures what garbage collections cost under loads, which are named in this order.
func (f *full) collect(ctx context.Context, cycles int, loads ...gcLoad) error {
	watches := make([]gcWatch, len(loads))
	for i, name := range []string{askedFlat, hashFlat, askedCalm} {
		watches[i].load = loads[i]
		f.GC = append(f.GC, &fullGC{Load: name})
	}
	turns := fullTurns
	if cycles <= gcCycles {
		turns = 1
	}
	for range turns {
		for i := range watches {
			if err := watches[i].turn(cycles/turns, fullTurn); err != nil {
				return err
			}
			f.watch(ctx, f.GC[i], gcWatch{load: loads[i]}, cycles/turns)
			if err := ctx.Err(); err != nil { // the node has ended with it
				return err
			}
		}
	}
	for i, g := range f.GC {
		if g.Cost = watches[i].cost(); f.Blind == "" {
			g.Stood.sum()
		} else {
			g.Stood = nil
		}
	}
	return nil
}

// watch lets w have a turn with a lookout beside it, unless there is none.
func (f *full) watch(ctx context.Context, g *fullGC, w gcWatch, cycles int) {
	if f.Blind != "" {
		return
	}
	if g.Stood == nil {
		g.Stood = &stood{}
	}
	if err := g.Stood.during(ctx, func() error { return w.turn(cycles, fullTurn) }); err != nil {
		f.Blind = err.Error()
	}
}

// nothing is a limiter that keeps nothing: it hashes the key and reads the clock.
func nothing() limiter {
	base := time.Now()
	return shared(func(key string) bool { return time.Since(base) >= 0 && ring.Hash(key) != 0 })
}

// askHere returns a limiter that asks n, which holds all keys.
func askHere(n node) limiter {
	return limiter{asker: func() func(string) bool {
		r, ctx := bucket.Request{Limit: plenty().bucket(), Cost: 1}, context.Background()
		return func(key string) bool {
			r.Key = key
			d, err := n.Check(ctx, r)
			return err == nil && d.Allowed && d.Source == bucket.FromHolder
		}
	}}
}

// walk asks about each of ks once, until its holder has decided.
func walk(ctx context.Context, l limiter, ks keySet) (gaps, error) {
	ask, h, again := l.asker(), newHistogram(), int64(0)
	last := time.Now()
	for i := range ks.n {
		key := ks.asked(i)
		if ask(key) {
			now := time.Now()
			_ = h.RecordValue(min(int64(now.Sub(last)), int64(10*time.Second))) // it is in range
			last = now
			continue
		}
		err := until(ctx, func() error {
			again++
			if !ask(key) {
				return fmt.Errorf("key %q is not allowed by its holder", key)
			}
			return nil
		})
		if err != nil {
			return gaps{}, err
		}
		last = time.Now()
	}
	g := gapsOf(h)
	g.Again = again
	return g, nil
}

// replicate returns a store with the replicas of n keys, as their heir keeps them.
func replicate(n int) (*bucket.Store, error) {
	heir, err := bucket.NewStore(bucket.StoreConfig{Partitions: partitions, MaxKeys: n})
	if err != nil {
		return nil, err
	}
	states := []bucket.State{{Limit: plenty().bucket(), Debt: int64(plenty().every)}}
	for i := range n {
		states[0].Key = key(i)
		if err := heir.Follow(1, int(ring.Hash(states[0].Key)%partitions), states); err != nil {
			return nil, err
		}
	}
	if kept := heir.Stats().Keys; kept != n {
		return nil, fmt.Errorf("the heir keeps %d of %d keys", kept, n)
	}
	return heir, nil
}

// shardKeys is how many keys a shard of a Store has at most.
const shardKeys = 1 << 14

// growShard returns the longest that one shard stops, in microseconds, while it grows to shardKeys, and when it is asked about these
// once more. What the machine takes away is in it, so it is the least of some tries.
func growShard() (growing, quiet float64, err error) {
	growing, quiet = 1e9, 1e9
	ks := newKeySet(shardKeys, shardKeys)
	for range 9 {
		s, err := bucket.NewStore(bucket.StoreConfig{Partitions: 1})
		if err != nil {
			return 0, 0, err
		}
		for _, least := range []*float64{&growing, &quiet} {
			longest, r := time.Duration(0), bucket.Request{Limit: plenty().bucket(), Cost: 1}
			for i := range ks.n {
				r.Key = ks.asked(i)
				began := time.Now()
				if _, err := s.Take(1, 0, &r); err != nil {
					return 0, 0, err
				}
				longest = max(longest, time.Since(began))
			}
			*least = min(*least, micros(int64(longest)))
		}
	}
	return growing, quiet, nil
}
