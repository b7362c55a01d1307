package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/transport/client"
	"github.com/noriahq/noria/transport/noriapb"
)

// A served is nodes that run as noria serve, each in a process of its own, and a connection to each.
type served struct {
	binary string
	nodes  []*process
	addrs  []servedAddrs
	conns  []*grpc.ClientConn
}

// servedAddrs are what the ready line of noria serve tells.
type servedAddrs struct {
	GRPC   string `json:"grpc"`
	Gossip string `json:"gossip"`
}

// startServed starts n nodes and returns when they agree and hold all that they should.
func startServed(ctx context.Context, binary string, n int) (*served, error) {
	s := &served{binary: binary}
	for range n {
		if err := s.grow(ctx); err != nil {
			s.end()
			return nil, err
		}
	}
	return s, nil
}

// serveNoria runs the binary as a node that joins a gossip address, unless that is empty.
func serveNoria(ctx context.Context, binary, name, seed string) (*process, servedAddrs, error) {
	args := []string{"serve", "--name", name, "--label", label}
	for _, port := range []string{"http", "api", "grpc", "admin", "peer", "gossip"} {
		args = append(args, "--"+port, "127.0.0.1:0")
	}
	if seed != "" {
		args = append(args, "--join", seed)
	}
	p, err := start(binary, args...)
	if err != nil {
		return nil, servedAddrs{}, err
	}
	line, err := p.find(ctx, `"msg":"ready"`)
	var addrs servedAddrs
	if err == nil {
		err = json.Unmarshal([]byte(line), &addrs)
	}
	if err != nil {
		p.kill()
		return nil, addrs, fmt.Errorf("ready line %s: %w", line, err)
	}
	return p, addrs, nil
}

// grow adds a node to s and returns when all agree and hold all that they should.
func (s *served) grow(ctx context.Context) error {
	seed := ""
	if len(s.addrs) > 0 {
		seed = s.addrs[0].Gossip
	}
	p, addrs, err := serveNoria(ctx, s.binary, fmt.Sprintf("served-%d", len(s.nodes)+1), seed)
	if err != nil {
		return err
	}
	s.nodes, s.addrs = append(s.nodes, p), append(s.addrs, addrs)
	conn, err := grpc.NewClient(addrs.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	s.conns = append(s.conns, conn)
	return until(ctx, func() error { return s.agree(ctx) })
}

// agree returns an error unless all nodes go by one ring and hold all partitions together.
func (s *served) agree(ctx context.Context) error {
	epochs, held := map[string]bool{}, int64(0)
	for _, conn := range s.conns {
		r, err := noriapb.NewNoriaClient(conn).Status(ctx, &noriapb.StatusRequest{})
		if err != nil {
			return errors.Join(errGiveUp, err)
		}
		if len(r.GetMembers()) != len(s.nodes) {
			return fmt.Errorf("%d nodes: one knows %d", len(s.nodes), len(r.GetMembers()))
		}
		epochs[r.GetEpoch()] = true
		held += r.GetPartitions()
	}
	if len(epochs) > 1 || held != partitions {
		return fmt.Errorf("%d nodes do not agree: they have %d rings and hold %d partitions", len(s.nodes), len(epochs), held)
	}
	return nil
}

// ask is an asker: callers are spread over all nodes, and ask by unary gRPC.
func (s *served) ask(caller int, l limit) ask {
	return checkAsk(noriapb.NewNoriaClient(s.conns[caller%len(s.conns)]), l)
}

// checkAsk returns the ask that calls noria.v1's Check.
func checkAsk(of noriapb.NoriaClient, l limit) ask {
	text := l.bucket().String()
	return func(ctx context.Context, key string) (bool, error) {
		answer, err := of.Check(ctx, &noriapb.CheckRequest{Key: key, Limit: text})
		if err == nil && answer.GetSource() == noriapb.Source_SOURCE_DEGRADED {
			err = errDegraded
		}
		return answer.GetAllowed(), err
	}
}

// clients returns an asker by package transport/client, with a client for each node, and what closes them.
func (s *served) clients() (asker, func(), error) {
	var all []*client.Client
	end := func() {
		for _, c := range all {
			_ = c.Close() // nothing is under way
		}
	}
	for _, a := range s.addrs {
		c, err := client.New(client.Config{Targets: []string{a.GRPC}})
		if err != nil {
			end()
			return nil, nil, err
		}
		all = append(all, c)
	}
	return func(caller int, l limit) ask {
		of, c := l.bucket(), all[caller%len(all)]
		return func(ctx context.Context, key string) (bool, error) {
			d, err := c.Check(ctx, bucket.Request{Key: key, Limit: of, Cost: 1})
			if err == nil && d.Degraded {
				err = errDegraded
			}
			return d.Allowed, err
		}
	}, end, nil
}

// pids returns the ids of s's processes.
func (s *served) pids() []int { return pidsOf(s.nodes) }

// end ends all nodes.
func (s *served) end() {
	for _, c := range s.conns {
		_ = c.Close() // nothing is under way
	}
	endAll(s.nodes)
}
