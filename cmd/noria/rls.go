package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/noriahq/noria/bucket/policy/strict"
	"github.com/noriahq/noria/transport/rls"
	"github.com/noriahq/noria/transport/rls/descriptors"
	"github.com/noriahq/noria/transport/watch"
)

// addRLS defines the flag of the folder with the rules of Envoy's rate limit service.
func addRLS(in section, to *string) {
	in.add("rls-config", "config", "`DIR` with the YAML files of Envoy's ratelimit service, which is then answered for on --grpc and --api", of(to, "folder", "", text))
}

// rules are the folder with the configuration of a rate limit service, and what became of its changes.
type rules struct {
	dir     string
	log     *slog.Logger
	service *rls.Service
	files   *watch.Files
	noted   func(hash uint64)

	good, bad atomic.Uint64 // changes that were taken over, and those refused
	stale     atomic.Bool   // the last was refused
}

// folder returns the files of dir, which use gets as rules, with their hash. No file is an error: mostly it is another folder.
func folder(dir string, use func(r *descriptors.Rules, hash uint64)) *watch.Files {
	return watch.NewFolder(strict.MaxText, func(paths []string, contents [][]byte) error {
		files := make([]descriptors.File, len(paths))
		for i, path := range paths {
			files[i] = descriptors.File{Name: path, Text: contents[i]}
		}
		if len(files) == 0 {
			return fmt.Errorf("%s has no file *.yaml or *.yml", dir)
		}
		read, err := descriptors.Parse(files...)
		if err != nil {
			return err
		}
		use(read, hashFiles(paths, contents))
		return nil
	}, dir, ".yaml", ".yml")
}

// readRules reads the rules in dir.
func readRules(dir string) (*descriptors.Rules, error) {
	var read *descriptors.Rules
	if err := folder(dir, func(r *descriptors.Rules, _ uint64) { read = r }).Read(); err != nil {
		return nil, &exit{status: statusUsage, err: err}
	}
	return read, nil
}

// openRules returns the rate limit service by the rules in dir, which noted gets the hash of, also when they change.
func openRules(dir string, l rls.Limiter, noted func(hash uint64), log *slog.Logger) (*rules, error) {
	service, err := rls.New(rls.Config{Limiter: l, Logger: log})
	if err != nil {
		return nil, err
	}
	r := &rules{dir: dir, log: log, service: service, noted: noted}
	r.files = folder(dir, r.use)
	if err := r.files.Read(); err != nil {
		return nil, &exit{status: statusUsage, err: err}
	}
	return r, nil
}

// use makes the service go by what was read.
func (r *rules) use(read *descriptors.Rules, hash uint64) {
	r.service.Use(read)
	r.noted(hash)
}

// beside returns a handler of r's requests, which hands all others to h. A nil r has none.
func (r *rules) beside(h http.Handler) http.Handler {
	if r == nil {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == rls.Path {
			r.service.ServeHTTP(w, q)
			return
		}
		h.ServeHTTP(w, q)
	})
}

// run reads the folder again whenever it changes or SIGHUP comes, until ctx ends. What is wrong leaves the rules as they
// were.
func (r *rules) run(ctx context.Context) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() { _ = r.files.Run(ctx, r.told) }) // nil
	for {
		select {
		case <-hangup:
			r.told(folder(r.dir, r.use).Read())
		case <-ctx.Done():
			return nil
		}
	}
}

// told counts and logs what came of reading the folder.
func (r *rules) told(err error) {
	r.stale.Store(err != nil)
	if err != nil {
		r.bad.Add(1)
		r.log.Error("rate limit rules refused, those before stay", "err", err)
		return
	}
	r.good.Add(1)
	r.log.Info("rate limit rules read")
}
