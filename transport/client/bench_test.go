package client_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/transport/api"
	"github.com/noriahq/noria/transport/client"
	pb "github.com/noriahq/noria/transport/noriapb"
)

// BenchmarkClient is a check over loopback by a client, and BenchmarkUnary one call each, by so many callers at once.
func BenchmarkClient(b *testing.B) {
	addr := benchNode(b)
	c, err := client.New(client.Config{Targets: []string{addr}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	r := bucket.Request{Key: "k", Limit: limit(b, "1000000/s burst 1000000"), Cost: 1}
	byCallers(b, func() error {
		_, err := c.Check(context.Background(), r)
		return err
	})
}

func BenchmarkUnary(b *testing.B) {
	conn, err := grpc.NewClient(benchNode(b), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	stub := pb.NewNoriaClient(conn)
	byCallers(b, func() error {
		_, err := stub.Check(context.Background(), &pb.CheckRequest{Key: "k", Limit: "1000000/s burst 1000000", Cost: proto.Int64(1)})
		return err
	})
}

func byCallers(b *testing.B, check func() error) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			if err := check(); err != nil { // and the connection is there
				b.Fatal(err)
			}
			b.ReportAllocs()
			var next atomic.Int64
			var all sync.WaitGroup
			for range callers {
				all.Go(func() {
					for next.Add(1) <= int64(b.N) {
						if err := check(); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
		})
	}
}

// benchNode serves the public API at a port of this machine and returns its address.
func benchNode(b *testing.B) string {
	store, err := bucket.NewStore(bucket.StoreConfig{Partitions: 1})
	if err != nil {
		b.Fatal(err)
	}
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := api.NewGRPC(benchLimiter{&node{fleet: &fleet{store: store, start: time.Now()}}}, api.Config{})
	go s.Serve(door)
	b.Cleanup(s.Stop)
	return door.Addr().String()
}

// benchLimiter notes nothing.
type benchLimiter struct{ *node }

func (l benchLimiter) Check(_ context.Context, r bucket.Request) (bucket.Decision, error) {
	return l.store.Take(l.now(), 0, &r)
}
