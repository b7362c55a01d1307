package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/transport/noriapb"
)

// servedName is the name of the node that runs as noria serve.
const servedName = "noria"

// A pair is a cluster of two nodes: one that is embedded here and asks, and a noria serve in a process of its own that
// holds the keys that are asked about.
type pair struct {
	*process
	asker node
	addrs servedAddrs
	conn  *grpc.ClientConn
	keys  []string // held by the other
}

// startPair runs the binary and a node here that joins it, and finds n keys that the former holds.
func startPair(ctx context.Context, binary string, n int) (*pair, error) {
	process, addrs, err := serveNoria(ctx, binary, servedName, "")
	if err != nil {
		return nil, err
	}
	p := &pair{process: process, addrs: addrs}
	if err := p.open(ctx, n); err != nil {
		p.end()
		return nil, err
	}
	return p, nil
}

func (p *pair) open(ctx context.Context, n int) error {
	var err error
	if p.asker, err = startNode(ctx, "asker", p.addrs.Gossip); err != nil {
		return err
	}
	if p.conn, err = grpc.NewClient(p.addrs.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		return err
	}
	client := noriapb.NewNoriaClient(p.conn)
	if err := p.agree(ctx, client); err != nil {
		return err
	}
	p.keys = p.held(ctx, n)
	if len(p.keys) < n {
		return fmt.Errorf("%s holds %d keys of %d, want %d", servedName, len(p.keys), 4*n, n)
	}
	return sameSize(ctx, client, p.keys[0])
}

// agree returns when both nodes go by the same ring of two.
func (p *pair) agree(ctx context.Context, client noriapb.NoriaClient) error {
	return until(ctx, func() error {
		theirs, err := client.Status(ctx, &noriapb.StatusRequest{})
		if err != nil {
			return errors.Join(errGiveUp, err)
		}
		if ours := p.asker.Status(); len(ours.Members) != 2 || ours.Epoch != theirs.GetEpoch() {
			return fmt.Errorf("the nodes do not agree: epochs are %s and %s", ours.Epoch, theirs.GetEpoch())
		}
		return nil
	})
}

// held asks about up to four times n keys and returns up to n of those that the other node holds.
func (p *pair) held(ctx context.Context, n int) []string {
	var (
		mu    sync.Mutex
		held  []string // guarded by mu
		tasks sync.WaitGroup
		check = p.check()
	)
	for first := range manyCallers {
		tasks.Go(func() {
			for i := first; i < 4*n; i += manyCallers {
				k := key(i)
				if _, err := check(ctx, k); err != nil {
					continue
				}
				mu.Lock()
				held = append(held, k)
				enough := len(held) >= n
				mu.Unlock()
				if enough {
					return
				}
			}
		})
	}
	tasks.Wait()
	return held[:min(n, len(held))]
}

// check returns the ask by which the node here has the other one decide.
func (p *pair) check() ask {
	l := plenty().bucket()
	return func(ctx context.Context, key string) (bool, error) {
		d, err := p.asker.Check(ctx, bucket.Request{Key: key, Limit: l, Cost: 1})
		if err == nil && (d.Source != bucket.FromHolder || d.Node != servedName) {
			err = fmt.Errorf("answered by %s of %s, want the holder %s", d.Source, d.Node, servedName)
		}
		return d.Allowed, err
	}
}

// sameSize returns an error if the bare service's answer is not about as long as Noria's.
func sameSize(ctx context.Context, client noriapb.NoriaClient, key string) error {
	answer, err := client.Check(ctx, &noriapb.CheckRequest{Key: key, Limit: plenty().bucket().String()})
	if err != nil {
		return err
	}
	if is, want := proto.Size(bareAnswer()), proto.Size(answer); is < want-2 || is > want+2 {
		return fmt.Errorf("the bare service answers with %d bytes and Noria with %d: they have to be alike", is, want)
	}
	return nil
}

// ways returns how a check at the node here is decided by the other, and how the other is asked over its public API.
func (p *pair) ways() []way {
	js, check, public := jobs(spread, 1, manyCallers), p.check(), holderAsk(noriapb.NewNoriaClient(p.conn))
	return []way{
		asked(forwarded, js, func(int, limit) ask { return check }, p.keys, p.pid()),
		asked(publicGRPC, js, func(int, limit) ask { return public }, p.keys, p.pid()),
	}
}

// end ends both nodes.
func (p *pair) end() {
	if p.conn != nil {
		_ = p.conn.Close() // nothing is under way
	}
	if p.asker.stop != nil {
		p.asker.stop()
	}
	p.kill()
}
