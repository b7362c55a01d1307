package api_test

import (
	"fmt"
	"net/http"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/transport/api"
)

// A refused client learns which limit refused it and when to come back.
func ExampleWriteHeaders() {
	limit, err := bucket.ParseLimit("100/s burst 200")
	if err != nil {
		fmt.Println(err)
		return
	}
	h := http.Header{}
	api.WriteHeaders(h, []api.Applied{{
		Name:     "free tier",
		Limit:    limit,
		Decision: bucket.Decision{RetryAfter: 10 * time.Millisecond, ResetAfter: 2 * time.Second},
	}})
	for _, name := range []string{"RateLimit-Policy", "RateLimit", "X-RateLimit-Type", "Retry-After"} {
		fmt.Printf("%s: %s\n", name, h.Get(name))
	}
	// Output:
	// RateLimit-Policy: "free tier";q=100;w=1
	// RateLimit: "free tier";r=0;t=1
	// X-RateLimit-Type: free tier
	// Retry-After: 1
}
