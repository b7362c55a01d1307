package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

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
	keys  []string // held by the other
}

// servedAddrs are what the ready line of noria serve tells.
type servedAddrs struct {
	GRPC   string `json:"grpc"`
	Gossip string `json:"gossip"`
}

// buildNoria builds the binary into dir and returns its path.
func buildNoria(ctx context.Context, dir string) (string, error) {
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/noriahq/noria")
	list.Stderr = os.Stderr
	root, err := list.Output()
	if err != nil {
		return "", fmt.Errorf("go list -m github.com/noriahq/noria: %w", err)
	}
	binary := filepath.Join(dir, "noria")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", binary, "./cmd/noria")
	build.Dir = strings.TrimSpace(string(root))
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/noria: %w\n%s", err, out)
	}
	return binary, nil
}

// startPair runs the binary and a node here that joins it, and finds n keys that the former holds.
func startPair(ctx context.Context, binary string, n int) (*pair, error) {
	args := []string{"serve", "--name", servedName, "--label", label}
	for _, port := range []string{"http", "api", "grpc", "admin", "peer", "gossip"} {
		args = append(args, "--"+port, "127.0.0.1:0")
	}
	process, err := start(binary, args...)
	if err != nil {
		return nil, err
	}
	p := &pair{process: process}
	if err := p.open(ctx, n); err != nil {
		p.end()
		return nil, err
	}
	return p, nil
}

func (p *pair) open(ctx context.Context, n int) error {
	line, err := p.find(ctx, `"msg":"ready"`)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(line), &p.addrs); err != nil {
		return fmt.Errorf("ready line %s: %w", line, err)
	}
	if p.asker, err = startNode(ctx, "asker", p.addrs.Gossip); err != nil {
		return err
	}
	conn, err := grpc.NewClient(p.addrs.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	client := noriapb.NewNoriaClient(conn)
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
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		theirs, err := client.Status(ctx, &noriapb.StatusRequest{})
		if err != nil {
			return err
		}
		ours := p.asker.Status()
		if len(ours.Members) == 2 && ours.Epoch == theirs.GetEpoch() {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("the nodes do not agree after %v: epochs are %s and %s", patience, ours.Epoch, theirs.GetEpoch())
		}
	}
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
				if check(ctx, k) != nil {
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
	return func(ctx context.Context, key string) error {
		d, err := p.asker.Check(ctx, bucket.Request{Key: key, Limit: l, Cost: 1})
		switch {
		case err != nil:
			return err
		case !d.Allowed:
			return errDenied
		case d.Source != bucket.FromHolder || d.Node != servedName:
			return fmt.Errorf("answered by %s of %s, want the holder %s", d.Source, d.Node, servedName)
		}
		return nil
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
func (p *pair) ways() ([]way, error) {
	public, err := checkAsk(p.addrs.GRPC)
	if err != nil {
		return nil, err
	}
	callers, others := []int{1, manyCallers}, []int{p.pid()}
	return []way{
		{name: forwarded, callers: callers, ask: p.check(), others: others},
		{name: publicGRPC, callers: callers, ask: public, others: others},
	}, nil
}

// end ends both nodes.
func (p *pair) end() {
	if p.asker.stop != nil {
		p.asker.stop()
	}
	p.process.end()
}
