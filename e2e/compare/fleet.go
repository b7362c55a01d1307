package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// latencyCoding is how a histogram goes from one process to another.
const latencyCoding = hdrhistogram.V2CompressedEncodingCookieBase

// A fleet is nodes that are asked from inside, each in a process of its own.
type fleet []*process

// startFleet starts n nodes and returns when they agree and hold all that they should.
func startFleet(ctx context.Context, n int) (fleet, error) {
	var f fleet
	for range n {
		if err := f.grow(ctx); err != nil {
			f.end()
			return nil, err
		}
	}
	return f, nil
}

// grow adds a node to f and returns when all agree and hold all that they should.
func (f *fleet) grow(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	seed := ""
	if len(*f) > 0 {
		r, err := tellNode(ctx, (*f)[0], order{Do: "status"})
		if err != nil {
			return err
		}
		seed = r.Gossip
	}
	p, err := start(self, nodeCommand, fmt.Sprintf("inside-%d", len(*f)+1), seed)
	if err != nil {
		return err
	}
	*f = append(*f, p)
	return f.agree(ctx)
}

// agree returns when all nodes of f go by one ring and hold all that they should.
func (f fleet) agree(ctx context.Context) error {
	return until(ctx, func() error {
		epochs := map[string]bool{}
		for _, p := range f {
			r, err := tellNode(ctx, p, order{Do: "status"})
			if err != nil {
				return errors.Join(errGiveUp, err)
			}
			epochs[r.Epoch] = true
			if r.Members != len(f) || r.Wanted > 0 || len(epochs) > 1 {
				return fmt.Errorf("%d nodes do not agree: one knows %d and waits for %d partitions", len(f), r.Members, r.Wanted)
			}
		}
		return nil
	})
}

// errGiveUp says that it is no use to try again.
var errGiveUp = errors.New("given up")

// until tries again until try returns nil, what wraps errGiveUp, or there is no more patience.
func until(ctx context.Context, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := try()
		if err == nil || errors.Is(err, errGiveUp) {
			return err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%w, after %v", err, patience)
		}
	}
}

// tellNode tells p what to do and returns its answer.
func tellNode(ctx context.Context, p *process, o order) (report, error) {
	line, err := json.Marshal(o)
	if err != nil {
		return report{}, err
	}
	if _, err := p.stdin.Write(append(line, '\n')); err != nil {
		return report{}, p.complaint(err.Error())
	}
	answer, err := p.find(ctx, `{"reply":`)
	if err != nil {
		return report{}, err
	}
	var r report
	if err := json.Unmarshal([]byte(answer), &r); err != nil {
		return report{}, fmt.Errorf("%s answers %s: %w", o.Do, answer, err)
	}
	if r.Err != "" {
		return report{}, fmt.Errorf("%s: %s", o.Do, r.Err)
	}
	return r, nil
}

// tell tells all nodes at once to do o, each its share of the job, and returns their answers.
func (f fleet) tell(ctx context.Context, o order) ([]report, error) {
	var (
		reports = make([]report, len(f))
		errs    = make([]error, len(f))
		telling sync.WaitGroup
	)
	for i, p := range f {
		telling.Go(func() {
			mine := o
			mine.Job = o.Job.share(i, len(f))
			reports[i], errs[i] = tellNode(ctx, p, mine)
		})
	}
	telling.Wait()
	return reports, errors.Join(errs...)
}

// prime has every key of spread asked about once.
func (f fleet) prime(ctx context.Context, keys int) error {
	_, err := tellNode(ctx, f[0], order{Do: "prime", Job: job{Load: spread, Keys: keys}})
	return err
}

// load has the nodes do j together.
func (f fleet) load(ctx context.Context, j job) (loaded, error) {
	began := time.Now()
	if _, err := f.tell(ctx, order{Do: "warm", Job: j}); err != nil {
		return loaded{}, err
	}
	before, err := processorTime(f.pids())
	if err != nil {
		return loaded{}, err
	}
	if _, err := f.tell(ctx, order{Do: "run"}); err != nil {
		return loaded{}, err
	}
	after, err := processorTime(f.pids())
	if err != nil {
		return loaded{}, err
	}
	out := loaded{cpu: after - before, whole: time.Since(began), latency: newHistogram()}
	reports, err := f.tell(ctx, order{Do: "tell"})
	if err != nil {
		return loaded{}, err
	}
	for i, r := range reports {
		l, err := r.loaded()
		if err != nil {
			return loaded{}, err
		}
		out.add(l)
		out.took = max(out.took, r.Took)
		if perSecond := float64(l.asked) / r.Took.Seconds(); i == 0 || perSecond < out.slowest {
			out.slowest = perSecond
		}
	}
	return out, nil
}

// loaded returns what r tells of a load.
func (r report) loaded() (loaded, error) {
	latency, err := hdrhistogram.Decode(r.Latency)
	l := loaded{asked: r.Asked, failed: r.Failed, admitted: r.Admitted, latency: latency}
	if r.Failure != "" {
		l.failure = errors.New(r.Failure)
	}
	return l, err
}

// pids returns the ids of f's processes.
func (f fleet) pids() []int { return pidsOf(f) }

// end ends all nodes.
func (f fleet) end() { endAll(f) }

// pidsOf returns the ids of processes.
func pidsOf(ps []*process) []int {
	var pids []int
	for _, p := range ps {
		pids = append(pids, p.pid())
	}
	return pids
}

// endAll ends processes that have nothing to hand over.
func endAll(ps []*process) {
	for _, p := range ps {
		p.kill()
	}
}
