package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// How a client asks: by so many workers, of which only some wait for one node, so that a node that does not answer does
// not stop it; and a request that could not start within giveUp of its time is left out.
const (
	workers = 24
	perNode = 8
	giveUp  = time.Second
)

// A load is the requests of a run under way.
type load struct {
	plan   Plan
	fleet  Fleet
	limits []uint8 // by key
	hot    []uint8 // limits of the first keys, which are hot
	base   time.Time
	until  time.Time
	seats  *seats

	tickets [MaxClients]atomic.Int64
	tally   [3]atomic.Int64 // by outcome
	degrade atomic.Int64
	skipped atomic.Int64

	mu     sync.Mutex
	errors map[string]int64 // guarded by mu

	failures []Failure // the first of them; guarded by mu
}

// newLoad returns the load of p on the fleet.
func newLoad(p Plan, fleet Fleet, limits []uint8, s *seats) *load {
	return &load{plan: p, fleet: fleet, limits: limits, hot: p.hot(), seats: s, errors: map[string]int64{}}
}

// run asks from now until the plan's duration is over or ctx ends, and returns all records. Every request under way is
// waited for: it has a deadline.
func (l *load) run(ctx context.Context) []Record {
	l.until = l.base.Add(l.plan.Duration)
	all := make([][]Record, l.plan.Clients*workers)
	var g sync.WaitGroup
	for i := range all {
		g.Go(func() { all[i] = l.work(ctx, i/workers, uint64(i)) })
	}
	g.Wait()
	return sortRecords(all)
}

// work is one worker of a client.
func (l *load) work(ctx context.Context, client int, number uint64) []Record {
	r := rand.New(rand.NewPCG(l.plan.Seed, number+1)) //nolint:gosec // load is no secret
	few := rand.NewZipf(r, 1.3, 8, uint64(l.plan.Keys-1))
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var records []Record
	for {
		// Clients take turns on the schedule: the i-th ticket of one is its i-th share of the rate.
		ticket := (l.tickets[client].Add(1)-1)*int64(l.plan.Clients) + int64(client)
		start := l.base.Add(schedule(ticket, l.plan.Rate))
		if !start.Before(l.until) || !sleep(ctx, timer, time.Until(start)) {
			return records
		}
		if time.Since(start) > giveUp {
			l.skipped.Add(1)
			continue
		}
		key := l.key(r, few)
		node, name := l.seats.take(client, r)
		if node < 0 {
			l.skipped.Add(1)
			continue
		}
		limit := l.plan.Limits[l.limits[key]]
		record := l.ask(ctx, client, name, key, 1+r.Int64N(limit.Cost))
		l.seats.leave(client, node)
		if ctx.Err() != nil {
			return records // stopped: what was under way says nothing
		}
		record.Asked = uint16(node)
		records = append(records, record)
	}
}

// key returns a key to ask for: a hot one as often as its limit says, and else one of few every other time.
func (l *load) key(r *rand.Rand, few *rand.Zipf) int {
	at := r.Float64()
	for key, limit := range l.hot {
		if at -= l.plan.Limits[limit].Hot; at < 0 {
			return key
		}
	}
	if r.IntN(2) == 0 {
		return int(few.Uint64())
	}
	return r.IntN(l.plan.Keys)
}

// schedule returns when, after the first, a ticket's request starts.
func schedule(ticket int64, rate int) time.Duration {
	whole, part := ticket/int64(rate), ticket%int64(rate)
	return time.Duration(whole)*time.Second + time.Duration(part)*time.Second/time.Duration(rate)
}

// sleep waits for d. It returns false if ctx ended before.
func sleep(ctx context.Context, timer *time.Timer, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer.Reset(d)
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// ask asks a node and returns what became of it.
func (l *load) ask(run context.Context, client int, node string, key int, cost int64) Record {
	ctx, cancel := context.WithTimeout(run, l.plan.Timeout)
	defer cancel()
	c := l.check(key)
	c.Cost, c.Client = cost, client
	record := Record{Key: int32(key), Cost: int32(cost), Called: time.Since(l.base)}
	answer, err := l.fleet.Check(ctx, node, c)
	record.Returned = time.Since(l.base)
	if err != nil {
		if run.Err() == nil { // else it was this run's end that failed it
			l.tally[Failed].Add(1)
			l.failed(err, record.Called, node)
		}
		return record
	}
	record.Outcome, record.Source, record.Decided = Denied, sourceOf(answer), l.seats.index(answer.Node)
	if answer.Allowed {
		record.Outcome = Allowed
		record.Returned += answer.Delay
	}
	l.tally[record.Outcome].Add(1)
	if answer.Degraded {
		l.degrade.Add(1)
	}
	return record
}

// check returns a check of the key that costs nothing.
func (l *load) check(key int) Check {
	limit := l.plan.Limits[l.limits[key]]
	return Check{Key: keyName(key), Limit: limit.Limit, Durability: limit.Durability, OnLost: limit.OnLost}
}

// maxKinds is how many kinds of errors are told apart, maxFailures how many requests that failed are told of in full.
const (
	maxKinds    = 20
	maxFailures = 2000
)

// failed counts an error, of a request to node that was called then, by its kind.
func (l *load) failed(err error, called time.Duration, node string) {
	kind := kindOf(err)
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.errors[kind]; !known && len(l.errors) >= maxKinds {
		kind = "other"
	}
	l.errors[kind]++
	if len(l.failures) < maxFailures {
		l.failures = append(l.failures, Failure{Called: called, Node: node, Error: oneLine(err)})
	}
}

// oneLine returns what err says, or the beginning of that.
func oneLine(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	return strings.ToValidUTF8(text[:min(len(text), 200)], "")
}

// kindOf returns a word for err that is the same for all errors of its kind.
func kindOf(err error) string {
	code := status.Code(err)
	switch {
	case errors.Is(err, context.DeadlineExceeded) || code == codes.DeadlineExceeded:
		return "no answer until the deadline"
	case errors.Is(err, errUnreachable) || code == codes.Unavailable || code == codes.Canceled: // canceled is a connection that was closed
		return "connection refused or broken"
	case code != codes.Unknown:
		return fmt.Sprint("gRPC status ", code)
	}
	return clip(err.Error())
}

// errUnreachable is wrapped by errors of connections.
var errUnreachable = errors.New("node cannot be reached")
