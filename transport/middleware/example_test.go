package middleware_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/go-chi/chi/v5"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/transport/middleware"
	"github.com/noriahq/noria/transport/peer"
)

// exampleNode starts a node that ends with ctx. That of another instance would have Seeds.
func exampleNode(ctx context.Context) *cluster.Node {
	tr, err := peer.New(peer.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		log.Fatal(err)
	}
	node, err := cluster.New(cluster.Config{Name: "a", Transport: tr, Gossip: "127.0.0.1:0"})
	if err != nil {
		log.Fatal(err)
	}
	go node.Run(ctx)
	<-node.Ready()
	return node
}

// A service lets each API key ask twice an hour, and all together 1,000 times a second.
func ExampleHTTP() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	perKey, perAll := bucket.Limit{Tokens: 2, Per: time.Hour, Burst: 2}, bucket.Limit{Tokens: 1000, Per: time.Second, Burst: 1000}
	limit, err := middleware.HTTP(middleware.Config{Checker: exampleNode(ctx)}, func(r *http.Request) ([]middleware.Met, error) {
		return []middleware.Met{
			middleware.One("key", perKey, r.Header.Get("X-Api-Key")),
			middleware.One("all", perAll, ""),
		}, nil
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })
	service := httptest.NewServer(limit(mux)) // http.ListenAndServe(addr, limit(mux)) in a program
	defer service.Close()

	for _, key := range []string{"k1", "k1", "k1", "k2"} {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, service.URL+"/hello", http.NoBody)
		if err != nil {
			log.Fatal(err)
		}
		r.Header.Set("X-Api-Key", key)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			log.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		h := answer.Header
		fmt.Println(key, answer.StatusCode, h.Get("RateLimit-Policy"), h.Get("X-RateLimit-Type"), h.Get("X-RateLimit-Remaining"), len(body) > 0, err)
	}
	// Output:
	// k1 200 "key";q=2;w=3600, "all";q=1000;w=1  1 true <nil>
	// k1 200 "key";q=2;w=3600, "all";q=1000;w=1  0 true <nil>
	// k1 429 "key";q=2;w=3600, "all";q=1000;w=1 key 0 true <nil>
	// k2 200 "key";q=2;w=3600, "all";q=1000;w=1  1 true <nil>
}

// In a router of chi each route has limits of its own, which see the route's parameters.
func ExampleHTTP_chi() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	perShop := bucket.Limit{Tokens: 2, Per: time.Hour, Burst: 2}
	limit, err := middleware.HTTP(middleware.Config{Checker: exampleNode(ctx)}, func(r *http.Request) ([]middleware.Met, error) {
		return []middleware.Met{middleware.One("shop", perShop, chi.URLParam(r, "shop"))}, nil
	})
	if err != nil {
		log.Fatal(err)
	}
	router := chi.NewRouter()
	router.With(limit).Get("/shops/{shop}/offers", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "offers of", chi.URLParam(r, "shop"))
	})
	router.Get("/about", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "free") })
	service := httptest.NewServer(router)
	defer service.Close()

	for _, path := range []string{"/shops/7/offers", "/shops/7/offers", "/shops/7/offers", "/shops/8/offers", "/about"} {
		res, err := http.Get(service.URL + path)
		if err != nil {
			log.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode == http.StatusTooManyRequests {
			body = []byte("denied by " + res.Header.Get("X-RateLimit-Type") + "\n")
		}
		fmt.Print(path, " ", res.StatusCode, " ", string(body))
	}
	// Output:
	// /shops/7/offers 200 offers of 7
	// /shops/7/offers 200 offers of 7
	// /shops/7/offers 429 denied by shop
	// /shops/8/offers 200 offers of 8
	// /about 200 free
}

// A gRPC server lets each method be called twice an hour.
func ExampleUnaryServer() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	perMethod := bucket.Limit{Tokens: 2, Per: time.Hour, Burst: 2}
	limit, err := middleware.UnaryServer(middleware.Config{Checker: exampleNode(ctx)}, func(_ context.Context, method string) ([]middleware.Met, error) {
		return []middleware.Met{middleware.One("method", perMethod, method)}, nil
	})
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.ChainUnaryInterceptor(limit))
	healthpb.RegisterHealthServer(server, health.NewServer())
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go server.Serve(door)
	defer server.Stop()

	conn, err := grpc.NewClient("passthrough:///"+door.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	for range 3 {
		_, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
		s := status.Convert(err)
		fmt.Println(s.Code())
		for _, d := range s.Details() {
			if d, is := d.(*errdetails.RetryInfo); is {
				fmt.Println(s.Message(), "(in", d.GetRetryDelay().AsDuration().Round(time.Minute), "from now)")
			}
		}
	}
	// Output:
	// OK
	// OK
	// ResourceExhausted
	// the limit method of 2/h is reached; try again when Retry-After has passed (in 30m0s from now)
}
