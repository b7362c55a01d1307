package main

import (
	"net/http"
	"slices"
	"strings"

	"google.golang.org/grpc"

	"github.com/noriahq/noria/transport/api"
	"github.com/noriahq/noria/transport/auth"
	"github.com/noriahq/noria/transport/gubernator"
	"github.com/noriahq/noria/transport/gubernatorpb"
	"github.com/noriahq/noria/transport/shed"
)

// newAPI returns what answers at --api.
func (s *server) newAPI(l *limiter, c api.Config) http.Handler {
	own := s.watched("api", s.rules.beside(api.NewHTTP(s.counted("http", l), c)))
	others := s.watched("gubernator", gubernator.New(s.counted("gubernator", l), s.log))
	asked := s.watched("auth", s.auth)
	return shed.Handler(s.intake.gate, apiKind, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case strings.HasPrefix(path, auth.Path):
			asked.ServeHTTP(w, r)
		case path == gubernator.PathGetRateLimits, path == gubernator.PathHealthCheck, path == gubernator.PathLiveCheck:
			others.ServeHTTP(w, r)
		default:
			own.ServeHTTP(w, r)
		}
	}))
}

// newGRPC returns what answers at --grpc.
func (s *server) newGRPC(l *limiter, c api.Config) *grpc.Server {
	g := api.NewGRPC(s.counted("grpc", l), c, slices.Concat(s.traces.GRPC(), s.requests.GRPC(), s.locks.grpcOptions(), s.grpcOptions())...)
	gubernatorpb.RegisterV1Server(g, gubernator.New(s.counted("gubernator", l), s.log))
	if s.rules != nil {
		s.rules.service.Register(g)
	}
	return g
}
