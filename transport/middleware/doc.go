// Package middleware limits what a Go service does, by a cluster that it is part of or asks: net/http middleware and a client's
// transport, gRPC interceptors for both sides. All stand on one method, Checker's, and a function that says which limits a
// request meets.
//
// A service that embeds a node, and lets each API key ask 2 times an hour and all together 1,000 times a second:
//
//	perKey, perAll := bucket.Limit{Tokens: 2, Per: time.Hour, Burst: 2}, bucket.Limit{Tokens: 1000, Per: time.Second, Burst: 1000}
//	limit, err := middleware.HTTP(middleware.Config{Checker: node}, func(r *http.Request) ([]middleware.Met, error) {
//		return []middleware.Met{
//			middleware.One("key", perKey, r.Header.Get("X-Api-Key")),
//			middleware.One("all", perAll, ""),
//		}, nil
//	})
//	if err != nil {
//		return err
//	}
//	return http.ListenAndServe("127.0.0.1:8000", limit(mux))
//
// The third curl with one key, at whichever instance of the service, and what it prints:
//
//	$ curl -i -H 'X-Api-Key: k1' http://127.0.0.1:8000/
//	HTTP/1.1 429 Too Many Requests
//	Cache-Control: no-store
//	Content-Type: application/problem+json
//	Ratelimit: "key";r=0;t=1800, "all";r=999;t=1
//	Ratelimit-Policy: "key";q=2;w=3600, "all";q=1000;w=1
//	Retry-After: 1800
//	X-Ratelimit-Limit: 2
//	X-Ratelimit-Remaining: 0
//	X-Ratelimit-Reset: 3600
//	X-Ratelimit-Type: key
//
//	{"type":"urn:noria:problem:denied","title":"Too many requests","status":429,"detail":"the limit key of 2/h is reached; try
//	again when Retry-After has passed","limit":"2/h","denied_by":"key","retry_after_ms":1799732}
//
// What one limit denies costs nothing on the others. A service that does not embed gives a *client.Client as the Checker, and
// package rules takes the limits from a policy file. In gRPC the same reads:
//
//	limit, err := middleware.UnaryServer(middleware.Config{Checker: node}, func(ctx context.Context, method string) ([]middleware.Met, error) {
//		return []middleware.Met{middleware.One("method", perMethod, method)}, nil
//	})
//	server := grpc.NewServer(grpc.ChainUnaryInterceptor(limit))
//
//	$ grpcurl -plaintext 127.0.0.1:8001 grpc.health.v1.Health/Check
//	ERROR:
//	  Code: ResourceExhausted
//	  Message: the limit method of 2/h is reached; try again when Retry-After has passed
//	  Details:
//	  1)	{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"subject": "method", "description": "2/h"}]}
//	  2)	{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1799.891882134s"}
//
// On the side of clients RoundTripper, UnaryClient and StreamClient let requests wait for their turn instead, in the order in
// which they came, and say at once where a deadline cannot be met.
package middleware
