package main

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/ring"
	"github.com/noriahq/noria/transport/api"
)

// A limiter is a node that says it is not ready as soon as it is stopping.
type limiter struct {
	*cluster.Node
	stopping <-chan struct{}
}

// Status implements api.Limiter.
func (l *limiter) Status() cluster.Status {
	s := l.Node.Status()
	select {
	case <-l.stopping:
		s.Ready = false
	default:
	}
	return s
}

// A place is where a key lives, as one node knows it.
type place struct {
	Key       string         `json:"key"`
	Partition ring.Partition `json:"partition"`
	Target    ring.Member    `json:"target"`
	Holder    ring.Member    `json:"holder"`
	Heir      ring.Member    `json:"heir"`
	Term      cluster.Term   `json:"term"`
}

// A ringAnswer is what GET /ring says: where the keys asked for live and how the ring shares out its partitions.
type ringAnswer struct {
	Node    ring.Member `json:"node"`
	Epoch   string      `json:"epoch"`
	Ring    string      `json:"ring"`
	Keys    []place     `json:"keys,omitempty"`
	Members []share     `json:"members"`
}

// A share is how many partitions the ring names a member for.
type share struct {
	ID         ring.Member `json:"id"`
	Partitions int         `json:"partitions"`
}

// maxRingKeys is the most keys of one GET /ring.
const maxRingKeys = 100

// newAdmin returns the admin pages of l with /ring and /metrics beside them:
//
//	GET /ring               how the ring shares out its partitions
//	GET /ring?key=K&key=L   and where those keys live
//	GET /metrics            numbers for Prometheus
//	GET /console            the fleet on a page, and the data behind it
func newAdmin(l *limiter, numbers, console http.Handler) http.Handler {
	mux := api.NewAdmin(l)
	mux.Handle("GET /metrics", numbers)
	mux.Handle("/console", console)
	mux.Handle("/console/", console)
	mux.Handle("GET /{$}", http.RedirectHandler("console", http.StatusFound))
	mux.HandleFunc("GET /ring", func(w http.ResponseWriter, r *http.Request) {
		a, err := l.ring(r.URL.Query()["key"])
		if err != nil {
			api.WriteProblem(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(a) // an error means that nobody reads the answer
	})
	return mux
}

// ring returns what l knows of the ring and of where keys live.
func (l *limiter) ring(keys []string) (ringAnswer, error) {
	if len(keys) > maxRingKeys {
		return ringAnswer{}, fmt.Errorf("%w: %d keys, want at most %d", bucket.ErrKey, len(keys), maxRingKeys)
	}
	s := l.Node.Status()
	a := ringAnswer{Node: s.Node, Epoch: s.Epoch, Ring: s.Ring}
	for _, m := range s.Members {
		a.Members = append(a.Members, share{m.ID, m.Partitions})
	}
	for _, k := range keys {
		if k == "" || len(k) > bucket.MaxKey {
			return ringAnswer{}, fmt.Errorf("%w: key has %d bytes, want 1 to %d", bucket.ErrKey, len(k), bucket.MaxKey)
		}
		at, err := l.Where(k)
		if err != nil {
			return ringAnswer{}, err
		}
		a.Keys = append(a.Keys, place{k, at.Partition, at.Target, at.Holder, at.Heir, at.Term})
	}
	return a, nil
}
