package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/noriahq/noria/cluster/gossip"
	"github.com/noriahq/noria/ring"
	"github.com/noriahq/noria/transport/api"
	"github.com/noriahq/noria/transport/bearer"
	"github.com/noriahq/noria/transport/certs"
	"github.com/noriahq/noria/transport/gubernator"
	"github.com/noriahq/noria/transport/peer"
)

// locks are what a node's guards have in their files. What is nil is not guarded by it.
type locks struct {
	mesh        *certs.Mesh
	keys        *keyFile
	apiPair     *certs.Pair
	apiClients  *certs.Roots
	apiTokens   *bearer.Tokens
	adminPair   *certs.Pair
	adminTokens *bearer.Tokens
	adminOpen   bool // only this machine reaches the admin port, or whoever reaches it may do anything
}

// openLocks reads the files of s's guards. All that is wrong is told.
func openLocks(s settings, log *slog.Logger) (*locks, error) {
	g, k := s.guards, &locks{}
	var wrong []error
	try := func(err error, flags string) {
		if err != nil {
			wrong = append(wrong, usagef("%s: %w", flags, err))
		}
	}
	var err error
	if g.peer.ca != "" {
		k.mesh, err = certs.NewMesh(certs.MeshConfig{
			CAFile: g.peer.ca, CertFile: g.peer.cert, KeyFile: g.peer.key, Names: g.peer.names, Label: s.label, Self: s.name, Logger: log,
		})
		try(err, "--peer-ca, --peer-cert, --peer-key")
	}
	if g.keyring != "" {
		k.keys, err = openKeyFile(g.keyring, log)
		try(err, "--gossip-keyring")
	}
	if g.api.cert != "" {
		k.apiPair, err = certs.New(certs.Config{CertFile: g.api.cert, KeyFile: g.api.key, Logger: log})
		try(err, "--api-tls-cert, --api-tls-key")
	}
	if g.api.clientCA != "" {
		k.apiClients, err = certs.NewRoots(g.api.clientCA, log)
		try(err, "--api-client-ca")
	}
	if g.api.tokens != "" {
		k.apiTokens, err = bearer.New(g.api.tokens, log)
		try(err, "--api-token-file")
	}
	if g.admin.cert != "" {
		k.adminPair, err = certs.New(certs.Config{CertFile: g.admin.cert, KeyFile: g.admin.key, Logger: log})
		try(err, "--admin-tls-cert, --admin-tls-key")
	}
	if g.admin.tokens != "" {
		k.adminTokens, err = bearer.New(g.admin.tokens, log)
		try(err, "--admin-token-file")
	}
	k.adminOpen = isLoopback(s.listen.admin) || g.admin.tokens == ""
	return k, errors.Join(wrong...)
}

// run reads files again when they change, until ctx ends.
func (k *locks) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	if k.mesh != nil {
		g.Go(func() error { return k.mesh.Run(ctx) })
	}
	if k.keys != nil {
		g.Go(func() error { return k.keys.run(ctx) })
	}
	for _, p := range []*certs.Pair{k.apiPair, k.adminPair} {
		if p != nil {
			g.Go(func() error { return p.Run(ctx) })
		}
	}
	if k.apiClients != nil {
		g.Go(func() error { return k.apiClients.Run(ctx) })
	}
	for _, t := range []*bearer.Tokens{k.apiTokens, k.adminTokens} {
		if t != nil {
			g.Go(func() error { return t.Run(ctx) })
		}
	}
	return g.Wait()
}

// peers makes c speak to other nodes as the guards say.
func (k *locks) peers(c peer.Config) peer.Config {
	if k.mesh == nil {
		return c
	}
	c.ServerCredentials, c.ClientCredentials = credentials.NewTLS(k.mesh.Server()), credentials.NewTLS(k.mesh.Client())
	c.Identify = func(auth credentials.AuthInfo, id ring.Member) error {
		info, ok := auth.(credentials.TLSInfo)
		if !ok {
			return errors.New("it does not speak TLS")
		}
		return k.mesh.Is(info.State, string(id))
	}
	return c
}

// keyring returns the keys of gossip, nil for none.
func (k *locks) keyring() *gossip.Keyring {
	if k.keys == nil {
		return nil
	}
	return k.keys.ring
}

// apiGuard is what callers of the API have to get past, and whether there is anything.
func (k *locks) apiGuard() (g bearer.Guard, closed bool) {
	g = bearer.Guard{
		Tokens: k.apiTokens, Admin: k.adminTokens, Certificates: k.apiClients != nil,
		Open:   func(r *http.Request) bool { return r.URL.Path == gubernator.PathLiveCheck },
		Refuse: refuse,
	}
	return g, k.apiTokens != nil || k.apiClients != nil
}

// guardAPI returns the server s of the API behind its guards.
func (k *locks) guardAPI(s *http.Server) *http.Server {
	if g, closed := k.apiGuard(); closed {
		s.Handler = g.Wrap(s.Handler)
	}
	if k.apiPair != nil {
		s.TLSConfig = k.apiPair.Config()
		k.apiClients.Ask(s.TLSConfig, k.apiTokens == nil)
	}
	return s
}

// grpcOptions puts a gRPC server behind the guards of the API. Health may be asked for by all who can connect.
func (k *locks) grpcOptions() []grpc.ServerOption {
	var options []grpc.ServerOption
	if k.apiPair != nil {
		config := k.apiPair.Config()
		k.apiClients.Ask(config, k.apiTokens == nil)
		options = append(options, grpc.Creds(credentials.NewTLS(config)))
	}
	if g, closed := k.apiGuard(); closed {
		options = append(options, g.ServerOptions("/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch", "/grpc.health.v1.Health/List", "/pb.gubernator.V1/LiveCheck")...)
	}
	return options
}

// guardAdmin returns the server s of the admin port behind its guards.
func (k *locks) guardAdmin(s *http.Server) *http.Server {
	g := bearer.Guard{
		Admin: k.adminTokens, Basic: true, Refuse: refuse,
		Open: func(r *http.Request) bool {
			switch r.URL.Path {
			case "/healthz", "/readyz":
				return true
			case pathLogin, pathKeys:
				return false
			}
			return k.adminOpen
		},
	}
	s.Handler = g.Wrap(http.NewCrossOriginProtection().Handler(s.Handler))
	if k.adminPair != nil {
		s.TLSConfig = k.adminPair.Config()
	}
	return s
}

// refuse answers who may not come in.
func refuse(w http.ResponseWriter, r *http.Request, err error) { api.WriteProblem(w, r, err) }

// pathLogin asks a browser for the admin's token, where a page would do without one, and goes on to the console.
const pathLogin = "/login"

// pathKeys is where the keys of gossip are looked at and changed, by POST.
const pathKeys = "/keys"
