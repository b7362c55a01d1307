package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/noriahq/noria/transport/traces"

	"golang.org/x/sync/errgroup"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/cluster/snapshot"
	"github.com/noriahq/noria/transport/api"
	"github.com/noriahq/noria/transport/auth"
	"github.com/noriahq/noria/transport/certs"
	"github.com/noriahq/noria/transport/console"
	"github.com/noriahq/noria/transport/gateway"
	"github.com/noriahq/noria/transport/keys"
	"github.com/noriahq/noria/transport/metrics"
	"github.com/noriahq/noria/transport/peer"
)

// A server is one node with all that it listens on.
type server struct {
	settings settings
	log      *slog.Logger
	node     *cluster.Node
	peers    *peer.Transport
	locks    *locks
	keys     *keys.Service // of gossip
	stopping chan struct{} // closed when the node is no longer ready for new work
	ending   chan struct{} // closed when it takes no more
	state    *snapshot.Dir // nil for none
	systemd  notifier
	front    []door // what clients come in by
	admin    door
	auth     *auth.Handler    // of sub-requests
	gateway  *gateway.Gateway // nil for none
	console  *console.Console
	pair     *certs.Pair // of the gateway; nil without TLS
	reload   *reloader   // nil without a file
	rules    *rules      // of Envoy's rate limit service; nil for none
	inForce  inForce     // the hashes of both
	intake   intake      // of requests and connections
	decided  *metrics.Decisions
	requests *metrics.Requests
	registry *prometheus.Registry
	traces   *traces.Sender // nil for none
	running  chan struct{}  // closed by run
	open     ports          // with the ports that were chosen; peer and gossip only once node.Opened
}

// profiling is how long an admin answer may take: profiles run for as long as they are asked to.
const profiling = 5 * time.Minute

// newServer returns the node that s describes, with its ports open and nothing served yet.
func newServer(s settings, log *slog.Logger) (*server, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	guard, err := openLocks(s, log)
	if err != nil {
		return nil, err
	}
	srv := &server{settings: s, log: log, locks: guard, stopping: make(chan struct{}), ending: make(chan struct{})}
	if srv.state, err = s.saves.open(s.name, s.label, s.role); err != nil {
		return nil, err
	}
	if err = srv.openTelemetry(); err != nil {
		srv.closeState()
		return nil, err
	}
	if srv.node, srv.peers, err = newNode(s, srv.prepared, log); err != nil {
		srv.traces.Stop()
		srv.closeState()
		return nil, &exit{status: statusUsage, err: err}
	}
	err = errors.Join(probe("gossip", s.listen.gossip, true), probe("peer", s.listen.peer, false), srv.openDoors())
	if err != nil {
		srv.closeDoors()
		srv.traces.Stop()
		srv.closeState()
		return nil, err
	}
	return srv, nil
}

// prepared adds to a node's configuration what the server has: locks, and the directory in which it saves.
func (s *server) prepared(p *peer.Config, c *cluster.Config) {
	s.guarded(p, c)
	c.State, c.StateEvery = s.state, s.settings.saves.every
	c.Trace = s.traces.Hop()
}

func (s *server) closeState() {
	if s.state != nil {
		_ = s.state.Close() // all that was to be written is
	}
}

// newNode returns the node that s describes, and its way to the others. guard, which may be nil, adds locks to both.
func newNode(s settings, guard func(*peer.Config, *cluster.Config), log *slog.Logger) (*cluster.Node, *peer.Transport, error) {
	seeds, find := s.seeds()
	own, config := peer.Config{Listen: s.listen.peer, Advertise: s.advertise.peer, Logger: log.With("node", s.name)}, cluster.Config{
		Name:            s.name,
		Version:         ownVersion().short(),
		Role:            s.role,
		Label:           s.label,
		Gossip:          s.listen.gossip,
		GossipAdvertise: s.advertise.gossip,
		Seeds:           seeds,
		FindSeeds:       find,
		Alone:           s.alone,
		MaxKeys:         s.maxKeys,
		LimitKeys:       s.bounds.limitKeys,
		PeerWait:        s.peerWait,
		Fence:           s.fence,
		ForgetAfter:     s.forget,
		MoveRate:        s.moveRate,
		Logger:          log,
	}
	if guard != nil {
		guard(&own, &config)
	}
	transport, err := peer.New(own)
	if err != nil {
		return nil, nil, err
	}
	config.Transport = transport
	node, err := cluster.New(config)
	return node, transport, err
}

// openDoors opens the ports that clients and those who look after the node come in by.
func (s *server) openDoors() error {
	var (
		wrong   []error
		limiter = &limiter{Node: s.node, stopping: s.stopping}
	)
	s.intake.gate = s.newGate()
	config := api.Config{Stopping: s.ending, Log: s.log, Gate: s.intake.gate}
	open := func(name, addr string, d door) door {
		l, err := listen(name, addr)
		if err != nil {
			wrong = append(wrong, err)
			return door{}
		}
		d.name, d.listener = name, s.intakeOf(name, l)
		return d
	}
	p, err := policyOf(s.settings)
	if err != nil {
		return err
	}
	s.inForce.say = s.node.SetPolicy
	if s.auth, err = auth.New(auth.Config{Policy: p, Limiter: s.counted("auth", limiter), Logger: s.log}); err != nil {
		return &exit{status: statusUsage, err: err}
	}
	if s.settings.rls != "" {
		if s.rules, err = openRules(s.settings.rls, s.counted("rls", limiter), s.inForce.useRules, s.log); err != nil {
			return err
		}
	}
	if s.console, err = s.newConsole(); err != nil {
		return err
	}
	s.admin = open("admin", s.settings.listen.admin, httpDoor(s.locks.guardAdmin(api.NewServer(s.withKeys(newAdmin(limiter, s.metricsPage(), s.console)), profiling, s.log))))
	s.front = append(s.front,
		open("api", s.settings.listen.api, httpDoor(s.locks.guardAPI(api.NewServer(s.newAPI(limiter, config), holding, s.log)))),
		open("grpc", s.settings.listen.grpc, grpcDoor(s.newGRPC(limiter, config))))
	s.inForce.usePolicy(hashOf(p))
	if proxies(p) {
		d, err := s.openGateway(s.counted("gateway", limiter), p)
		if err != nil {
			return &exit{status: statusUsage, err: err}
		}
		s.front = append(s.front, open("http", s.settings.listen.http, d))
	}
	if len(wrong) > 0 {
		return errors.Join(wrong...)
	}
	s.noteAddresses()
	return nil
}

// holding is how long an answer of the API may be held until its request's turn.
const holding = 30 * time.Second

// noteAddresses keeps the addresses that were opened.
func (s *server) noteAddresses() {
	for _, d := range append([]door{s.admin}, s.front...) {
		addr := d.listener.Addr().String()
		switch d.name {
		case "http":
			s.open.http = addr
		case "api":
			s.open.api = addr
		case "grpc":
			s.open.grpc = addr
		case "admin":
			s.open.admin = addr
		}
	}
}

// closeDoors closes what openDoors opened, if nothing is served.
func (s *server) closeDoors() {
	for _, d := range append([]door{s.admin}, s.front...) {
		if d.listener != nil {
			_ = d.listener.Close() // nothing came in yet
		}
	}
}

// addresses returns all addresses with the ports that were chosen, after node.Opened.
func (s *server) addresses() ports {
	p := s.open
	p.gossip, p.peer = s.node.Addrs()
	return p
}

// run serves until ctx ends or something breaks, and stops gracefully then. It is called once.
func (s *server) run(ctx context.Context) error {
	close(s.running)
	defer s.closeState()
	own, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, failed := errgroup.WithContext(own)
	g.Go(func() error { return runError(s.node.Run(failed)) })
	for _, d := range append([]door{s.admin}, s.front...) {
		g.Go(func() error { return d.serve(d.listener) })
	}
	s.attend(failed, g)
	g.Go(func() error {
		select {
		case <-ctx.Done():
		case <-failed.Done():
		}
		defer stop()
		return s.leave(failed)
	})
	return g.Wait()
}

// attend runs in g, until ctx ends, what goes on beside requests.
func (s *server) attend(ctx context.Context, g *errgroup.Group) {
	g.Go(func() error { return s.systemd.watch(ctx, func() { s.node.Status() }) })
	g.Go(func() error { return s.locks.run(ctx) })
	g.Go(func() error { return s.auth.Run(ctx) })
	g.Go(func() error { return s.intake.gate.Run(ctx) })
	if s.gateway != nil {
		g.Go(func() error { return s.gateway.Run(ctx) })
	}
	if s.pair != nil {
		g.Go(func() error { return s.pair.Run(ctx) })
	}
	if s.reload != nil {
		g.Go(func() error { return s.reload.run(ctx, s) })
	}
	if s.rules != nil {
		g.Go(func() error { return s.rules.run(ctx) })
	}
}

// leave ends the node's work in order: no longer ready, for a while before no more requests are taken, requests under way answered,
// partitions handed over, what is left saved. It takes settings.drain at most; ctx ends it sooner. An error is that of saving:
// others have what was handed over, and replicas of the rest, but of what is not saved nobody may have anything.
func (s *server) leave(ctx context.Context) (unsaved error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, s.settings.drain.within())
	defer cancel()
	s.systemd.tell("STOPPING=1")
	close(s.stopping)
	s.linger(ctx)
	close(s.ending)
	s.answerOut(ctx)
	if s.gateway != nil {
		if left := s.gateway.Drain(ctx); left > 0 {
			s.log.Warn("stopped before all reservations were settled", "node", s.settings.name, "left", left)
		}
	}
	if ctx.Err() == nil || s.state != nil { // what is left is saved in any case
		switch err := s.node.Leave(ctx); {
		case errors.Is(err, cluster.ErrNotSaved):
			unsaved = &exit{status: statusFailed, err: fmt.Errorf("node %s: %w", s.settings.name, err)}
		case err != nil:
			s.log.Warn("left without handing over everything", "node", s.settings.name, "err", err)
		default:
			s.log.Info("left", "node", s.settings.name, "took", time.Since(began))
		}
	}
	s.console.Close() // who looks would be waited for
	s.admin.stop(ctx)
	s.traces.Stop() //nolint:contextcheck // what is left is sent however little time there was
	return unsaved
}

// linger takes requests as before for settings.drain.delay.
func (s *server) linger(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(s.settings.drain.delay):
	}
}

// answerOut takes no more requests and waits for those under way, until a third of the time to stop is left: the other
// nodes need it more than a client who streams for minutes.
func (s *server) answerOut(ctx context.Context) {
	left := s.settings.drain.within()
	if end, ok := ctx.Deadline(); ok {
		left = time.Until(end)
	}
	ctx, cancel := context.WithTimeout(ctx, left*2/3)
	defer cancel()
	var under sync.WaitGroup
	for _, d := range s.front {
		under.Go(func() { d.stop(ctx) })
	}
	under.Wait()
}

// runError returns err, with which a node ended, with its exit status.
func runError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, cluster.ErrNameTaken), errors.Is(err, cluster.ErrMismatch), errors.Is(err, cluster.ErrConfig), errors.Is(err, syscall.EADDRINUSE):
		return &exit{status: statusUsage, err: err}
	}
	return &exit{status: statusFailed, err: err}
}
