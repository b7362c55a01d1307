package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/transport/noriapb"
)

// holdersAtOnce is how many keys are asked about in one request.
const holdersAtOnce = 500

// Holders implements Locator. It asks the API for nothing of each key and sees who decides. Nodes also tell on their admin
// ports who they think holds a key, but reckon the heir of each one, which takes long for thousands.
func (f *fleet) Holders(ctx context.Context, checks []Check, avoid string) ([]string, error) {
	nodes := f.alive(avoid)
	if len(nodes) == 0 {
		return nil, errors.New("no other node is up")
	}
	asker, err := f.asker(caller{client: 0, node: nodes[0]}) // over gRPC
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var holders []string
	for some := range slices.Chunk(checks, holdersAtOnce) {
		request := &noriapb.CheckAllRequest{}
		for _, c := range some {
			request.Checks = append(request.Checks, message(c))
		}
		answer, err := asker.(*grpcAsker).node.CheckAll(ctx, request)
		if err != nil {
			return nil, err
		}
		for _, one := range answer.GetChecks() {
			holder := ""
			if one.GetSource() == noriapb.Source_SOURCE_HOLDER {
				holder = one.GetNode()
			}
			holders = append(holders, holder)
		}
	}
	if len(holders) != len(checks) {
		return nil, fmt.Errorf("%s decided on %d keys, want %d", nodes[0].name, len(holders), len(checks))
	}
	return holders, nil
}

// Settled implements Settler.
func (f *fleet) Settled(ctx context.Context, frozen []string) error {
	client := f.inquirer()
	defer client.CloseIdleConnections()
	nodes := f.alive("")
	var epochs []string
	held, all := 0, 0
	for _, n := range nodes {
		var s cluster.Status
		if err := get(ctx, client, n, "/status", &s); err != nil {
			return err
		}
		if want := len(nodes) + len(frozen); !s.Ready || len(s.Members) != want {
			return fmt.Errorf("%s is ready: %v, counts %d members of %d", n.name, s.Ready, len(s.Members), want)
		}
		epochs = append(epochs, s.Epoch)
		held += s.Partitions
		all = 0
		for _, m := range s.Members {
			if !slices.Contains(frozen, string(m.ID)) {
				all += m.Partitions
			}
		}
	}
	if len(slices.Compact(epochs)) != 1 {
		return fmt.Errorf("rings differ: epochs %s", strings.Join(epochs, ", "))
	}
	if held != all {
		return fmt.Errorf("%d partitions of %d have a holder", held, all)
	}
	return nil
}

// inquirer returns a client of admin ports.
func (f *fleet) inquirer() *http.Client { return &http.Client{Transport: f.transport(2)} }

// get reads the JSON at path of a node's admin port into to.
func get(ctx context.Context, client *http.Client, n *node, path string, to any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.log.addresses().Admin+path, http.NoBody)
	if err != nil {
		return err
	}
	res, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("%s: %w", n.name, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err != nil {
		return fmt.Errorf("%s: %w", n.name, err)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: HTTP status %d", n.name, path, res.StatusCode)
	}
	return json.Unmarshal(b, to)
}
