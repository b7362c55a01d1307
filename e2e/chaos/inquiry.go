package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/noriahq/noria/cluster"
)

// holdersAtOnce is how many keys a node tells the holders of in one answer.
const holdersAtOnce = 100

// Holders implements Locator.
func (f *fleet) Holders(ctx context.Context, keys []string, avoid string) ([]string, error) {
	nodes := f.alive(avoid)
	if len(nodes) == 0 {
		return nil, errors.New("no other node is up")
	}
	client := f.inquirer()
	defer client.CloseIdleConnections()
	var holders []string
	for some := range slices.Chunk(keys, holdersAtOnce) {
		var answer struct {
			Keys []struct {
				Holder string `json:"holder"`
			} `json:"keys"`
		}
		if err := get(ctx, client, nodes[0], "/ring?"+url.Values{"key": some}.Encode(), &answer); err != nil {
			return nil, err
		}
		if len(answer.Keys) != len(some) {
			return nil, fmt.Errorf("%s tells of %d keys, want %d", nodes[0].name, len(answer.Keys), len(some))
		}
		for _, k := range answer.Keys {
			holders = append(holders, k.Holder)
		}
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
