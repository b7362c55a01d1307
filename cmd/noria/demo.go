package main

import (
	"context"
	_ "embed"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/noriahq/noria/bucket/policy"
	"github.com/noriahq/noria/transport/api"
	"github.com/noriahq/noria/transport/gateway/demo"
)

// sample is the policy of fleet --demo.
//
//go:embed sample.yaml
var sample []byte

// A show is what fleet --demo has behind its gateways: an upstream that speaks as models do, and the sample policy for it.
type show struct {
	listener net.Listener
	policy   *policy.Policy
}

// newShow opens the upstream at addr.
func newShow(addr string) (*show, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, usagef("the upstream of --demo: %w; choose other ports with --base-port or --free-ports", err)
	}
	url := "http://" + l.Addr().String()
	p, err := policy.Parse("sample.yaml", sample, map[string]string{
		"NORIA_ROUTES_CHAT_UPSTREAMS": url, "NORIA_ROUTES_MESSAGES_UPSTREAMS": url,
	})
	if err != nil {
		_ = l.Close() // the error is worse
		return nil, err
	}
	return &show{listener: l, policy: p}, nil
}

// run answers until ctx ends.
func (s *show) run(ctx context.Context, log *slog.Logger) error {
	d := httpDoor(api.NewServer(demo.New(demo.Config{Pace: 20 * time.Millisecond}), time.Minute, log))
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		d.stop(ctx) // at once
	}()
	err := d.serve(s.listener)
	<-stopped
	return err
}

// lines returns what to type at a fleet with the sample policy whose gateways are at first and last.
func (s *show) lines(first, last string) []string {
	return []string{
		call("curl -i", first, ""),
		call("curl -N", last, `,"stream":true`),
		call("curl -i", last, `,"max_tokens":5000`),
	}
}

// call returns the line that asks the gateway at addr for an answer of a model.
func call(curl, addr, more string) string {
	return curl + " http://" + addr + "/v1/chat/completions -H 'X-User: ann' -d '" + `{"model":"demo","messages":[{"role":"user","content":"Hi"}]` + more + "}'"
}

// demoAddr returns where the upstream of --demo listens.
func (f *fleet) demoAddr() string {
	port := 9000
	switch {
	case f.freePorts:
		port = 0
	case f.base != 0:
		port = f.base + 9 // no node has it
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}
