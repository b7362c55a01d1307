package main

import (
	"context"
	"fmt"
	"math"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/transport/api"
)

// bench is what the command bench does.
type bench struct {
	targets []target

	concurrency int
	rate        int // requests a second; 0 is closed loop
	duration    time.Duration
	requests    int // 0 for no bound
	timeout     time.Duration
	access      access

	limit     bucket.Limit
	limitText string // limit, written once for all requests
	cost      int
	batch     int // checks of one request
	stream    bool
	keys      keySpace

	allowRemote bool
	out         output
}

// A target is a node to ask.
type target struct {
	addr string
	http bool
}

// newBench returns the command bench.
func newBench(p *process) *cobra.Command {
	var b bench
	cmd := &cobra.Command{
		Use:   "bench [TARGET]...",
		Short: "Measure how fast nodes answer",
		Long: `Asks nodes for tokens, as fast as they answer or at a steady rate, and tells how long answers took.

A target is HOST:PORT or grpc://HOST:PORT for the gRPC API, http://HOST:PORT for the HTTP API; the default is
127.0.0.1:8081. Requests go to all targets in turn.

Without --rate each of --concurrency callers asks again when it was answered (closed loop). With --rate requests start by
the clock, and a latency counts from when the request should have started: one that a slow answer held up is not left
out (open loop). Then --concurrency bounds how many are under way.

A run always ends: after --duration, after --requests, or at SIGINT, which prints what there is.`,
		Example: `  noria bench
  noria bench --rate 5000 --keys 100000 --dist zipf --duration 30s
  noria bench 127.0.0.1:8081 127.0.0.1:8091 --stream --concurrency 64
  noria bench http://127.0.0.1:8083 --requests 10000 --output json`,
		Args: func(_ *cobra.Command, args []string) (err error) {
			b.targets, err = parseTargets(args)
			return err
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := b.check(cmd); err != nil {
				return err
			}
			return b.run(cmd.Context(), p)
		},
	}
	b.addFlags(section{flags: cmd.Flags(), name: "bench"})
	addOutput(section{flags: cmd.Flags(), name: "client"}, &b.out)
	return cmd
}

// The bounds of a run.
const (
	maxCallers  = 10_000
	maxBenchKey = 100_000_000
	maxRate     = 10_000_000
	maxDuration = 24 * time.Hour
)

// addFlags defines the flags of b.
func (b *bench) addFlags(s section) {
	s.add("concurrency", "concurrency", "`CALLERS` that ask at the same time", of(&b.concurrency, "number", "32", whole(1, maxCallers)))
	s.add("rate", "rate", "`REQUESTS` to start a second; 0 is as fast as they are answered", of(&b.rate, "number", "0", whole(0, maxRate)))
	s.add("duration", "duration", "`TIME` after which no request starts any more", of(&b.duration, "duration", "10s", duration(time.Millisecond, maxDuration)))
	s.add("requests", "requests", "`REQUESTS` after which none starts any more; 0 is no bound", of(&b.requests, "number", "0", whole(0, math.MaxInt)))
	s.add("timeout", "timeout", "most `TIME` that an answer may take", of(&b.timeout, "duration", "5s", duration(time.Millisecond, time.Hour)))
	addAccess(section{flags: s.flags, name: "client"}, &b.access)
	s.add("limit", "limit", "`LIMIT` of every key", of(&b.limit, "limit", "100/s burst 200", bucket.ParseLimit))
	s.add("cost", "cost", "`TOKENS` of every check", of(&b.cost, "number", "1", whole(0, bucket.MaxCost)))
	s.add("keys", "keys", "`NUMBER` of different keys", of(&b.keys.number, "number", "10000", whole(1, maxBenchKey)))
	s.add("dist", "dist", "how often each comes: uniform, zipf (few keys come often) or hot (nine of ten are one key)", of(&b.keys.dist, "word", "uniform", choice("uniform", "zipf", "hot")))
	s.add("prefix", "prefix", "`TEXT` before the number of a key", of(&b.keys.prefix, "text", "bench:", text))
	s.add("seed", "seed", "`NUMBER` that decides on the order of keys", of(&b.keys.seed, "number", "1", whole(0, math.MaxInt)))
	s.add("batch", "batch", "`CHECKS` of one request, all or nothing", of(&b.batch, "number", "1", whole(1, api.MaxChecks)))
	s.toggle("stream", "stream", "ask on one stream per target instead of a call for each request; gRPC only", &b.stream)
	s.toggle("allow-remote", "allow_remote", "ask nodes on other machines, too", &b.allowRemote)
}

// parseTargets reads the targets on a command line.
func parseTargets(args []string) ([]target, error) {
	if len(args) == 0 {
		args = []string{"127.0.0.1:8081"}
	}
	targets := make([]target, len(args))
	for i, a := range args {
		addr, isHTTP := strings.CutPrefix(strings.TrimSuffix(a, "/"), "http://")
		addr = strings.TrimPrefix(addr, "grpc://")
		addr, err := remote(addr)
		if err != nil {
			return nil, usagef("target %q: want HOST:PORT, grpc://HOST:PORT or http://HOST:PORT", a)
		}
		targets[i] = target{addr: addr, http: isHTTP}
	}
	return targets, nil
}

// check completes b and says what cannot work together.
func (b *bench) check(cmd *cobra.Command) error {
	b.limitText = b.limit.String()
	if b.requests > 0 && !cmd.Flags().Changed("duration") {
		b.duration = maxDuration
	}
	if b.batch > b.keys.number {
		return usagef("--batch is %d and --keys %d: want at least as many keys, because a request has each one once", b.batch, b.keys.number)
	}
	for _, t := range b.targets {
		if b.stream && t.http {
			return usagef("--stream goes with gRPC targets only, %s is HTTP", t.addr)
		}
		if !b.allowRemote && !isLoopback(t.addr) {
			host, _, _ := net.SplitHostPort(t.addr)
			return usagef("%s is not this machine: --allow-remote allows to load it", host)
		}
	}
	return nil
}

// run asks and prints what came of it.
func (b *bench) run(ctx context.Context, p *process) error {
	callers, err := b.connect(ctx)
	if err != nil {
		return err
	}
	l := newLoad(b, callers)
	defer l.close()
	stop := l.watch(p)
	took := l.run(ctx)
	stop()
	r := l.report(took)
	if err := b.out.print(p.stdout, r, r.text); err != nil {
		return err
	}
	if r.Requests > 0 && r.Errors == r.Requests {
		return &exit{status: statusUnreachable, err: fmt.Errorf("no request was answered: %s", r.commonest())}
	}
	return nil
}
