package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/noriahq/noria/bucket/nearest"
)

// newServe returns the command serve.
func newServe(p *process) *cobra.Command {
	var (
		s    settings
		file string
	)
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a node",
		Long: `Runs a node until SIGINT or SIGTERM, which it leaves the cluster on gracefully; a second signal ends it at once.

A setting is looked for in its flag, its environment variable, the file of --config, and has a default otherwise. The
log's line "ready" tells all addresses.

All ports are open to this machine alone unless an address says otherwise. Where other machines can reach them nodes want
certificates for each other (--peer-ca), a key for gossip (--gossip-keyring), certificates or tokens for those who ask
(--api-tls-cert, --api-token-file), and a token for those who look after them (--admin-token-file), and do not start
without, unless --insecure is given; "noria config init --tls" makes all of that. The gateway, --http, faces clients whoever
they are, so that it may be open without TLS, as behind a load balancer that has it.`,
		Example: `  noria serve
  noria serve --name b --join 127.0.0.1:7946 --gossip :0 --peer :0 --api :0 --grpc :0 --admin :0
  noria serve --upstream http://127.0.0.1:9000 --limit "100/s burst 200" --key header.X-Api-Key
  noria serve --name gw-1 --role gateway --join 127.0.0.1:7946 --gossip :0 --peer :0 --api :0 --grpc :0 --admin :0
  noria serve --config secure/node-1.yaml --peer 10.0.0.1:7947 --gossip 10.0.0.1:7946 --join 10.0.0.2:7946
  noria serve --rls-config ratelimit/config
  noria serve --join dns://noria-gossip.default.svc:7946 --gossip 0.0.0.0:7946 --advertise-gossip 10.0.0.7
  noria serve --config noria.yaml`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var in contents
			if file != "" {
				b, err := readFile(file)
				if err != nil {
					return err
				}
				if in, err = fromFile(cmd.Flags(), file, b, p.env); err != nil {
					return err
				}
				s.policy = in.policy
			}
			s.telemetry = telemetry{p.env, p.stderr}
			log := s.logging.logger(p.stderr)
			p.warnOfSlips(log, cmd.Flags())
			srv, err := newServer(s, log)
			if err != nil {
				return err
			}
			srv.systemd = newNotifier(p.env, os.Getpid(), log)
			if file != "" {
				srv.reload = &reloader{path: file, env: p.env, log: log, was: in}
			}
			return srv.serve(cmd.Context())
		},
	}
	addSettings(cmd.Flags(), &s)
	cmd.Flags().SortFlags = false
	addConfig(cmd, &file)
	return cmd
}

// serve runs the node until ctx ends, and says when it is ready.
func (s *server) serve(ctx context.Context) error {
	plain := s.open
	if s.pair != nil {
		plain.http = ""
	}
	if open := plain.beyond().attrs(); len(open) > 0 {
		s.log.Warn("other machines can reach this node without TLS", open...)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	select {
	case <-s.node.Ready():
		s.systemd.tell("READY=1")
		s.log.Info("ready", append([]any{"node", s.settings.name}, s.addresses().attrs()...)...)
		return <-ended
	case err := <-ended:
		if err == nil && !errors.Is(ctx.Err(), context.Canceled) {
			return &exit{status: statusFailed, err: errors.New("the node ended before it was ready")}
		}
		return err
	}
}

// warnOfSlips warns of environment variables that look like one of ours and are not.
func (p *process) warnOfSlips(log *slog.Logger, flags *pflag.FlagSet) {
	known := map[string]bool{}
	var names []string
	flags.VisitAll(func(f *pflag.Flag) {
		if env := annotation(f, inEnv); env != "" {
			known[env] = true
			names = append(names, env)
		}
	})
	var set []string
	for env := range p.env {
		if strings.HasPrefix(env, "NORIA_") && !known[env] {
			set = append(set, env)
		}
	}
	slices.Sort(set)
	for _, env := range set {
		// What is unlike all of ours belongs to someone else: Kubernetes sets NORIA_SERVICE_HOST for a service noria.
		if near := nearest.To(env, names, 3); near != "" && nearest.Distance(env, near) <= 2 {
			log.Warn("an environment variable is not read", "err", env+" is not known, did you mean "+near+"?")
		}
	}
}
