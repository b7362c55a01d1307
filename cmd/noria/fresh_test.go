package main

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/noriahq/noria/cluster/clustertest"
	"github.com/noriahq/noria/cluster/clustertest/bubble"
)

// A graceful stop does not wait for a connection on which nobody ever asks anything, and does wait for a request.
func TestStopWithFreshConnections(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		network := clustertest.NewNet(1)
		l, err := network.Listen("10.0.0.1:80")
		if err != nil {
			t.Fatal(err)
		}
		asked := make(chan struct{})
		d := httpDoor(&http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			close(asked)
			time.Sleep(2 * time.Second)
		})})
		go func() { _ = d.serve(l) }()
		for _, line := range []string{"", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"} {
			c, err := network.Dial(t.Context(), "10.0.0.2", "10.0.0.1:80")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := c.Write([]byte(line)); err != nil {
				t.Fatal(err)
			}
		}
		<-asked
		began := time.Now()
		d.stop(context.Background())
		if took := time.Since(began); took < 1900*time.Millisecond || took > 3*time.Second {
			t.Errorf("a stop took %v, want the 2s of the request that was under way", took)
		}
	})
}
