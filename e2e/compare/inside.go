package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/noriahq/noria/bucket"
)

// A node that is asked from inside runs in a process of its own, which embeds it as a service or a gateway does, and in which
// its callers run too. The tool tells it by lines on its standard input what to do, and it answers each with one line.

// nodeCommand is the first argument of the tool that makes it such a process; the node's name and a gossip address to join,
// if there is one, follow.
const nodeCommand = "node"

// An order is what such a process is told.
type order struct {
	Do  string `json:"do"` // status; prime; warm, run, tell: the steps of a load
	Job job    `json:"job"`
}

// A report is what it answers.
type report struct {
	Reply string `json:"reply"` // what it was told to do
	Err   string `json:"err,omitempty"`

	// Of status.
	Gossip  string `json:"gossip,omitempty"`
	Epoch   string `json:"epoch,omitempty"`
	Members int    `json:"members,omitempty"`
	Wanted  int    `json:"wanted,omitempty"`

	// Of tell.
	Asked    int64         `json:"asked,omitempty"`
	Failed   int64         `json:"failed,omitempty"`
	Failure  string        `json:"failure,omitempty"`
	Admitted int64         `json:"admitted,omitempty"`
	Took     time.Duration `json:"took,omitempty"`
	Latency  []byte        `json:"latency,omitempty"`
}

// serveNode runs a node and does what stdin says until that ends. Its answers go to stdout.
func serveNode(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) != 2 {
		return errors.New("want the name of a node and a gossip address, which may be empty")
	}
	n, err := startNode(ctx, args[0], args[1])
	if err != nil {
		return err
	}
	defer n.stop()
	in, out := json.NewDecoder(stdin), json.NewEncoder(stdout)
	asked := insider{node: n}
	for {
		var o order
		if err := in.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		r, err := asked.obey(ctx, o)
		if err != nil {
			r.Err = err.Error()
		}
		r.Reply = o.Do
		if err := out.Encode(r); err != nil {
			return err
		}
	}
}

// An insider is a node and its callers.
type insider struct {
	node    node
	job     job
	callers callers
	took    time.Duration
}

// obey does what o says.
func (in *insider) obey(ctx context.Context, o order) (report, error) {
	switch o.Do {
	case "status":
		return in.status(), nil
	case "prime":
		return report{}, prime(ctx, in.ask, plenty(), o.Job.keys())
	case "warm":
		keys, err := in.keys(ctx, o.Job)
		if err != nil {
			return report{}, err
		}
		in.job, in.callers = o.Job, newCallers(o.Job, in.ask, keys)
		in.callers.ask(ctx, in.job.For/10)
		in.callers.forget()
		return report{}, nil
	case "run":
		in.took = in.callers.ask(ctx, in.job.For)
		return report{}, nil
	case "tell":
		return in.tell()
	}
	return report{}, fmt.Errorf("%q is nothing that a node does", o.Do)
}

// status tells where the node is and what it knows.
func (in *insider) status() report {
	gossip, _ := in.node.Addrs()
	s := in.node.Status()
	return report{Gossip: gossip, Epoch: s.Epoch, Members: len(s.Members), Wanted: s.Wanted}
}

// tell tells what the callers have counted.
func (in *insider) tell() (report, error) {
	l := in.callers.sum()
	r := report{Asked: l.asked, Failed: l.failed, Admitted: l.admitted, Took: in.took}
	if l.failure != nil {
		r.Failure = l.failure.Error()
	}
	var err error
	r.Latency, err = l.latency.Encode(latencyCoding)
	return r, err
}

// ask is an asker. What is answered without the holder is wrong.
func (in *insider) ask(_ int, l limit) ask {
	return insideAsk(in.node, l)
}

// insideAsk returns the ask that calls n.Check.
func insideAsk(n node, l limit) ask {
	of := l.bucket()
	return func(ctx context.Context, key string) (bool, error) {
		d, err := n.Check(ctx, bucket.Request{Key: key, Limit: of, Cost: 1})
		if err == nil && d.Degraded {
			err = errDegraded
		}
		return d.Allowed, err
	}
}

var errDegraded = errors.New("answered without the holder")

// keys returns the keys of j, of the workload local those that this node holds.
func (in *insider) keys(ctx context.Context, j job) ([]string, error) {
	all := j.keys()
	if j.Load != heldHere {
		return all, nil
	}
	var (
		mu    sync.Mutex
		held  []string // guarded by mu
		tasks sync.WaitGroup
		self  = string(in.node.Status().Node)
	)
	for first := range manyCallers {
		tasks.Go(func() {
			for i := first; i < len(all); i += manyCallers {
				d, err := in.node.Peek(ctx, all[i], j.limit().bucket())
				if err != nil || d.Source != bucket.FromHolder || d.Node != self {
					continue
				}
				mu.Lock()
				held = append(held, all[i])
				mu.Unlock()
			}
		})
	}
	tasks.Wait()
	if len(held) == 0 {
		return nil, fmt.Errorf("%s holds none of %d keys", self, len(all))
	}
	return held, nil
}
