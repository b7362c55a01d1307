package main

import (
	"math"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"google.golang.org/grpc"

	"github.com/noriahq/noria/transport/auth"
	"github.com/noriahq/noria/transport/gubernator"
	"github.com/noriahq/noria/transport/gubernatorpb"
	"github.com/noriahq/noria/transport/metrics"
	"github.com/noriahq/noria/transport/noriapb"
	"github.com/noriahq/noria/transport/rls"
	"github.com/noriahq/noria/transport/shed"
)

// bounds are how much a node takes on.
type bounds struct {
	conns, clientConns int
	streams            int
	calls              int
	limitKeys          int // 0 for as many as there may be of all limits
	shedAfter          time.Duration
}

// addBounds defines the flags of b.
func addBounds(in section, b *bounds) {
	in.add("max-conns", "conns", "most `CONNS` at a time to each of --http, --api and --grpc; more are closed at once; one costs a file descriptor and some 20 KB", of(&b.conns, "number", "16384", whole(1, math.MaxInt32)))
	in.add("max-conns-per-client", "client_conns", "most `CONNS` of one address (of one /64 with IPv6) to each of these; more is wanted where all come by one load balancer", of(&b.clientConns, "number", "4096", whole(1, math.MaxInt32)))
	in.add("max-streams", "streams", "most `CALLS` under way on one HTTP/2 connection to --http and --grpc; further ones wait at the client, which is the cheapest way to have them wait", of(&b.streams, "number", "250", whole(1, math.MaxInt32)))
	in.add("max-calls", "calls", "most `CALLS` under way at once on --http, --api and --grpc together; more are answered 503 or RESOURCE_EXHAUSTED; one costs 10 to 20 KB", of(&b.calls, "number", "16384", whole(1, math.MaxInt32)))
	in.add("max-keys-per-limit", "limit_keys", "most `KEYS` of one limit, those of --max-keys without it; beyond, new keys of the limit share one bucket, so that who makes up keys gets no more by it", of(&b.limitKeys, "number", "", whole(1, math.MaxInt)))
	in.add("shed-after", "shed_after", "`TIME` that requests may wait for a processor before reads are refused, and checks are held back for up to as long and then refused; settlements never are; less answers sooner and refuses more; 0 refuses none for that", of(&b.shedAfter, "duration", "500ms", duration(0, time.Minute)))
}

// usualBounds returns the defaults.
func usualBounds() (b bounds) {
	addBounds(section{flags: pflag.NewFlagSet("bounds", pflag.ContinueOnError), name: "bounds"}, &b)
	return b
}

// newGate returns what decides which requests are refused.
func (s *server) newGate() *shed.Gate {
	b := &s.settings.bounds
	delay := b.shedAfter
	if delay == 0 {
		delay = shed.Never
	}
	return shed.NewGate(shed.Config{Delay: delay, MaxCalls: b.calls, Log: s.log.With("node", s.settings.name)})
}

// intakeOf returns l, the port of the flag --name, with bounds of its connections.
func (s *server) intakeOf(name string, l net.Listener) net.Listener {
	b, c := &s.settings.bounds, shed.Conns{Name: name, Log: s.log.With("node", s.settings.name)}
	c.Max, c.PerClient = b.conns, b.clientConns
	if name == "admin" {
		c.Max, c.PerClient = adminConns, adminConns
	}
	guarded := shed.NewListener(l, c)
	s.intake.listeners = append(s.intake.listeners, namedListener{name, guarded})
	return guarded
}

// adminConns is how many connections those who look after a node may have.
const adminConns = 256

// An intake is what a node takes on, and refuses beyond.
type intake struct {
	gate      *shed.Gate
	listeners []namedListener // of the ports of front and admin
}

// stats returns what i has counted.
func (i *intake) stats() (shed.Stats, []metrics.Port) {
	ports := make([]metrics.Port, len(i.listeners))
	for k, l := range i.listeners {
		ports[k] = metrics.Port{Name: l.name, ConnStats: l.Stats()}
	}
	return i.gate.Stats(), ports
}

// A namedListener is that of a port by its flag.
type namedListener struct {
	name string
	*shed.Listener
}

// apiKind says what a request to --api is.
func apiKind(r *http.Request) shed.Kind {
	switch path := r.URL.Path; path {
	case "/v1/settle", "/v1/cancel", "/v1/release", "/v1/reset":
		return shed.Kind{Entry: shed.API, Priority: shed.Give}
	case "/v1/status":
		return shed.Kind{Entry: shed.API, Priority: shed.Read}
	case gubernator.PathHealthCheck, gubernator.PathLiveCheck:
		return shed.Kind{Entry: shed.Gubernator, Priority: shed.Vital}
	case gubernator.PathGetRateLimits:
		return shed.Kind{Entry: shed.Gubernator, Priority: shed.Check}
	case rls.Path:
		return shed.Kind{Entry: shed.RLS, Priority: shed.Check}
	default:
		if strings.HasPrefix(path, auth.Path) {
			return shed.Kind{Entry: shed.Auth, Priority: shed.Check}
		}
		return shed.Kind{Entry: shed.API, Priority: shed.Check}
	}
}

// gatewayKind says what a request to --http is.
func gatewayKind(*http.Request) shed.Kind {
	return shed.Kind{Entry: shed.Gateway, Priority: shed.Check}
}

// grpcKind says what a call of method is.
func grpcKind(method string) shed.Kind {
	switch method {
	case noriapb.Noria_StreamChecks_FullMethodName: // what comes by the stream asks by itself
		return shed.Kind{Entry: shed.GRPC, Priority: shed.Give}
	case noriapb.Noria_Settle_FullMethodName, noriapb.Noria_Reset_FullMethodName:
		return shed.Kind{Entry: shed.GRPC, Priority: shed.Give}
	case noriapb.Noria_Peek_FullMethodName, noriapb.Noria_Status_FullMethodName:
		return shed.Kind{Entry: shed.GRPC, Priority: shed.Read}
	case gubernatorpb.V1_GetRateLimits_FullMethodName:
		return shed.Kind{Entry: shed.Gubernator, Priority: shed.Check}
	case gubernatorpb.V1_HealthCheck_FullMethodName, gubernatorpb.V1_LiveCheck_FullMethodName:
		return shed.Kind{Entry: shed.Gubernator, Priority: shed.Vital}
	}
	switch {
	case strings.HasPrefix(method, "/grpc.health."):
		return shed.Kind{Entry: shed.GRPC, Priority: shed.Vital}
	case strings.HasPrefix(method, "/grpc.reflection."):
		return shed.Kind{Entry: shed.GRPC, Priority: shed.Read}
	case strings.HasPrefix(method, "/envoy.service.ratelimit."):
		return shed.Kind{Entry: shed.RLS, Priority: shed.Check}
	}
	return shed.Kind{Entry: shed.GRPC, Priority: shed.Check}
}

// grpcOptions are the bounds of --grpc.
func (s *server) grpcOptions() []grpc.ServerOption {
	return append(shed.Options(s.intake.gate, grpcKind), grpc.MaxConcurrentStreams(uint32(s.settings.bounds.streams)))
}
