package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/transport/gateway"
)

// closed is a Limiter that refuses everything. *cluster.Node is a better one.
type closed struct{}

// Check implements gateway.Limiter.
func (closed) Check(context.Context, bucket.Request) (bucket.Decision, error) {
	return bucket.Decision{RetryAfter: 30 * time.Second, ResetAfter: time.Minute}, nil
}

func ExampleNew() {
	limit, err := bucket.ParseLimit("2/m")
	if err != nil {
		panic(err)
	}
	key, err := gateway.ParseKey("client.ip")
	if err != nil {
		panic(err)
	}
	h, err := gateway.New(gateway.Config{
		Upstream: &url.URL{Scheme: "http", Host: "127.0.0.1:9000"},
		Limit:    limit,
		Key:      key,
		Limiter:  closed{},
	})
	if err != nil {
		panic(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	fmt.Println(w.Code, w.Header().Get("Retry-After"), w.Header().Get("RateLimit"))
	// Output: 429 30 "client.ip";r=0;t=30
}
