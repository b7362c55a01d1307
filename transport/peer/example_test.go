package peer_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/transport/peer"
)

// A node beside a service: started once, asked for every request.
func ExampleNew() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	tr, err := peer.New(peer.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		log.Fatal(err)
	}
	node, err := cluster.New(cluster.Config{Name: "orders-1", Transport: tr, Gossip: "127.0.0.1:0"}) // Seeds: the others
	if err != nil {
		log.Fatal(err)
	}
	go node.Run(ctx)
	<-node.Ready()

	limit, err := bucket.ParseLimit("100/s burst 200")
	if err != nil {
		log.Fatal(err)
	}
	d, err := node.Check(ctx, bucket.Request{Key: "tenant:42", Limit: limit, Cost: 1})
	fmt.Println(d.Allowed, d.Remaining, err)
	// Output: true 199 <nil>
}

// Two nodes in one process limit one HTTP handler: whichever of them a client meets, there are three requests for it.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	start := func(name string, seeds ...string) *cluster.Node {
		tr, err := peer.New(peer.Config{Listen: "127.0.0.1:0"})
		if err != nil {
			log.Fatal(err)
		}
		node, err := cluster.New(cluster.Config{Name: name, Transport: tr, Gossip: "127.0.0.1:0", Seeds: seeds})
		if err != nil {
			log.Fatal(err)
		}
		running.Go(func() {
			if err := node.Run(ctx); err != nil {
				log.Fatal(err)
			}
		})
		<-node.Ready()
		return node
	}
	a := start("a")
	gossip, _ := a.Addrs()
	b := start("b", gossip)

	limit, err := bucket.ParseLimit("quota 3")
	if err != nil {
		log.Fatal(err)
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })
	for i, node := range []*cluster.Node{a, b, a, b, a} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		w := httptest.NewRecorder()
		limited(node, limit, hello).ServeHTTP(w, r)
		fmt.Println(i, w.Code, w.Body)
	}
	stop()
	running.Wait()
	// Output:
	// 0 200 hello
	// 1 200 hello
	// 2 200 hello
	// 3 429 too many requests
	// 4 429 too many requests
}

// limited lets each client's address through to next as often as limit allows, over all nodes together.
func limited(node *cluster.Node, limit bucket.Limit, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ip, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			ip = r.RemoteAddr
		}
		d, err := node.Check(r.Context(), bucket.Request{Key: "ip:" + ip, Limit: limit, Cost: 1})
		switch {
		case err != nil:
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		case !d.Allowed:
			w.WriteHeader(http.StatusTooManyRequests)
			fmt.Fprint(w, "too many requests")
		default:
			next.ServeHTTP(w, r)
		}
	})
}
