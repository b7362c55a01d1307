package middleware_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/transport/middleware"
)

// plenty is a limit that denies nothing here.
var plenty = bucket.Limit{Tokens: 1_000_000_000, Per: time.Second, Burst: 1_000_000_000}

// A nobody reads what a service answers.
type nobody struct{ header http.Header }

func (n *nobody) Header() http.Header         { return n.header }
func (n *nobody) Write(b []byte) (int, error) { return len(b), nil }
func (n *nobody) WriteHeader(int)             {}

// BenchmarkHTTP is what the middleware adds to a request, at a node that holds its keys; "none" is without limits.
func BenchmarkHTTP(b *testing.B) {
	node := exampleNode(b.Context())
	none := bucket.Limit{Burst: 1}
	for name, met := range map[string][]middleware.Met{
		"none":   nil,
		"one":    {middleware.One("key", plenty, "k1")},
		"three":  {middleware.One("key", plenty, "k1"), middleware.One("all", plenty, ""), middleware.One("path", plenty, "/")},
		"denied": {middleware.One("none", none, "")},
	} {
		b.Run(name, func(b *testing.B) {
			limit, err := middleware.HTTP(middleware.Config{Checker: node}, func(*http.Request) ([]middleware.Met, error) { return met, nil })
			if err != nil {
				b.Fatal(err)
			}
			h := limit(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
			w := &nobody{http.Header{}}
			h.ServeHTTP(w, r) // takes the only token of "denied"
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				h.ServeHTTP(w, r)
			}
		})
	}
}

// BenchmarkUnaryServer is what the interceptor adds to a call.
func BenchmarkUnaryServer(b *testing.B) {
	node := exampleNode(b.Context())
	met := []middleware.Met{middleware.One("method", plenty, "/x/Y")}
	limit, err := middleware.UnaryServer(middleware.Config{Checker: node}, func(context.Context, string) ([]middleware.Met, error) { return met, nil })
	if err != nil {
		b.Fatal(err)
	}
	info := &grpc.UnaryServerInfo{FullMethod: "/x/Y"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := limit(b.Context(), nil, info, func(context.Context, any) (any, error) { return nil, nil }); err != nil {
			b.Fatal(err)
		}
	}
}
