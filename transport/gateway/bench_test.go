package gateway_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/transport/gateway"
)

// What a refusal costs: that is what has to bear a flood.
func BenchmarkDenied(b *testing.B) {
	key, err := gateway.ParseKey("header.X-Api-Key")
	if err != nil {
		b.Fatal(err)
	}
	h, err := gateway.New(gateway.Config{
		Upstream: &url.URL{Scheme: "http", Host: "upstream"}, Limit: bucket.Limit{Burst: 1}, Key: key, Limiter: closed{},
	})
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil)
	r.Header.Set("X-Api-Key", "secret")
	w := discard{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.h)
		h.ServeHTTP(w, r)
	}
}

// discard is an http.ResponseWriter that keeps only headers.
type discard struct{ h http.Header }

// Header implements http.ResponseWriter.
func (d discard) Header() http.Header { return d.h }

// Write implements http.ResponseWriter.
func (d discard) Write(p []byte) (int, error) { return len(p), nil }

// WriteHeader implements http.ResponseWriter.
func (d discard) WriteHeader(int) {}
