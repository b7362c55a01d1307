package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/noriahq/noria/bucket/policy/strict"
	"github.com/noriahq/noria/transport/watch"
)

// A reloader makes a node go by what its configuration file says now: by its policy. Settings stay as they were at the
// start.
type reloader struct {
	path string
	env  map[string]string
	log  *slog.Logger

	good, bad atomic.Uint64 // changes that were taken over, and those refused
	stale     atomic.Bool   // the last was refused

	mu  sync.Mutex
	was contents // as the file was last; guarded by mu
}

// run reads the file again whenever it changes or SIGHUP comes, until ctx ends.
func (r *reloader) run(ctx context.Context, s *server) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() {
		use := func(files [][]byte) error { return r.use(s, files[0]) }
		files := watch.New(strict.MaxText, use, r.path)
		if err := files.Read(); err != nil { // it has changed since the start
			r.told(err)
		}
		_ = files.Run(ctx, r.told) // nil
	})
	for {
		select {
		case <-hangup:
			b, err := readFile(r.path)
			if err == nil {
				err = r.use(s, b)
			}
			r.told(err)
		case <-ctx.Done():
			return nil
		}
	}
}

// told counts and logs what came of reading the file.
func (r *reloader) told(err error) {
	r.stale.Store(err != nil)
	if err != nil {
		r.bad.Add(1)
		r.log.Error("configuration refused, what it said before stays", "err", err)
		return
	}
	r.good.Add(1)
	r.log.Info("configuration read")
}

// use makes s go by the policy of the file b. What is wrong leaves all as it was.
func (r *reloader) use(s *server, b []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	addSettings(flags, new(settings))
	in, err := fromFile(flags, r.path, b, r.env)
	if err != nil {
		return err
	}
	if !slices.EqualFunc(in.settings, r.was.settings, setting.equal) {
		r.log.Warn("settings of the configuration file changed, which takes a restart; its policy needs none")
	}
	now := s.settings
	now.policy = in.policy
	if err := s.change(now); err != nil {
		return err
	}
	r.was = in
	return nil
}

// equal says whether s and o set a field to the same, wherever they stand.
func (s setting) equal(o setting) bool { return s.field == o.field && slices.Equal(s.values, o.values) }

// errNoDoor says that a node that has no port for a gateway cannot become one.
var errNoDoor = errors.New("the policy has routes and this node opened no gateway when it started: restart it")

// change makes s go by the policy of now.
func (s *server) change(now settings) error {
	p, err := policyOf(now)
	if err != nil {
		return err
	}
	use, err := s.auth.Prepare(p)
	if err != nil {
		return err
	}
	switch {
	case s.gateway != nil && p == nil:
		return errors.New("the policy is gone: want routes for the gateway, or a restart without them")
	case s.gateway != nil:
		err = s.gateway.Use(p)
	case proxies(p):
		err = errNoDoor
	}
	if err != nil {
		return err
	}
	use()
	s.inForce.usePolicy(hashOf(p))
	return nil
}
