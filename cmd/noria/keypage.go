package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/ring"
	"github.com/noriahq/noria/transport/keys"
	"github.com/noriahq/noria/transport/peer"
	"github.com/noriahq/noria/transport/peerpb"
)

// guarded puts the locks of s on its way to the other nodes and on its gossip, and makes the service that changes keys.
func (s *server) guarded(p *peer.Config, c *cluster.Config) {
	*p = s.locks.peers(*p)
	c.GossipKeyring = s.locks.keyring()
	s.keys = keys.New(keys.Config{
		Keyring: c.GossipKeyring, Self: ring.Member(s.settings.name), Members: s.keyMembers,
		Ask: func(ctx context.Context, m keys.Member, r *peerpb.KeysRequest) (*peerpb.KeysResponse, error) {
			return s.peers.Keys(ctx, m.ID, m.Peer, r)
		},
	})
	p.Keys = s.keys.Answer
}

// keyMembers returns whom to ask about keys.
func (s *server) keyMembers() (all []keys.Member, missing []ring.Member) {
	for _, m := range s.node.Status().Members {
		all = append(all, keys.Member{ID: m.ID, Peer: m.Peer})
	}
	return all, s.node.Missing()
}

// maxKeyRequest is the most bytes of a request about keys.
const maxKeyRequest = 4 << 10

// withKeys returns next with POST /keys and GET /login beside it. The guard of the admin port lets none but those with the
// admin's token through to these.
func (s *server) withKeys(next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", next)
	mux.HandleFunc("GET "+pathLogin, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/console", http.StatusSeeOther)
	})
	mux.HandleFunc("POST "+pathKeys, func(w http.ResponseWriter, r *http.Request) {
		var q keys.Request
		in := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxKeyRequest))
		in.DisallowUnknownFields()
		if err := in.Decode(&q); err != nil { // it may have a key in it: nothing of it is told
			http.Error(w, "bad request: want a JSON object with action, key, id and force", http.StatusBadRequest)
			return
		}
		result, err := s.keys.Do(context.WithoutCancel(r.Context()), q) // who went away is no reason to stop between two steps
		switch {
		case err != nil:
			s.log.Warn("gossip keys not changed at all members", "node", s.settings.name, "members", len(result.Members), "err", err)
		case q.Action != "list":
			s.log.Info("gossip keys changed", "node", s.settings.name, "members", len(result.Members))
		}
		status := http.StatusOK
		switch {
		case errors.Is(err, keys.ErrRequest), errors.Is(err, keys.ErrNoKeys):
			status = http.StatusBadRequest
		case errors.Is(err, keys.ErrMissing), errors.Is(err, keys.ErrBusy):
			status = http.StatusConflict
		case err != nil:
			status = http.StatusBadGateway
		}
		if err != nil {
			result.Error = err.Error()
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(result) // an error means that nobody reads the answer
	})
	return mux
}
