package client_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/transport/api"
	"github.com/noriahq/noria/transport/client"
	"github.com/noriahq/noria/transport/peer"
)

// A service asks a cluster that runs elsewhere: here a node at a free port of this machine.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	addr := exampleNode(ctx)

	c, err := client.New(client.Config{Targets: []string{addr}}) // all nodes, or some of them
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	limit, err := bucket.ParseLimit("quota 2")
	if err != nil {
		log.Fatal(err)
	}
	for range 3 {
		d, err := c.Check(ctx, bucket.Request{Key: "tenant:42", Limit: limit, Cost: 1})
		fmt.Println(d.Allowed, d.Remaining, err)
	}
	// Output:
	// true 1 <nil>
	// true 0 <nil>
	// false 0 <nil>
}

// exampleNode starts a node that serves the public API, until ctx ends, and returns where.
func exampleNode(ctx context.Context) (addr string) {
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
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go api.NewGRPC(node, api.Config{}).Serve(door)
	return door.Addr().String()
}
