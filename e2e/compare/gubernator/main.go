// Command gubernator is one Gubernator daemon with static peers, for the comparison beside it.
//
//	gubernator -self 127.0.0.1:9101 -http 127.0.0.1:9102 -peers 127.0.0.1:9101,127.0.0.1:9201
//
// It is a module of its own, because it wants older versions of what Noria uses. All its settings are Gubernator's defaults. It
// ends when its standard input does.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/mailgun/gubernator/v2"
	"github.com/sirupsen/logrus"
)

func main() {
	if err := serve(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "gubernator:", err)
		os.Exit(1)
	}
}

// serve runs the daemon until stdin ends, and says on stdout when it serves.
func serve(args []string, stdin io.Reader, stdout io.Writer) error {
	flags := flag.NewFlagSet("gubernator", flag.ContinueOnError)
	self := flags.String("self", "", "gRPC `ADDRESS` of this daemon, as its peers know it")
	web := flags.String("http", "127.0.0.1:0", "HTTP `ADDRESS`")
	peers := flags.String("peers", "", "gRPC `ADDRESSES` of all daemons, this one among them")
	if err := flags.Parse(args); err != nil {
		return err
	}
	logs := logrus.New()
	logs.SetLevel(logrus.ErrorLevel)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	d, err := gubernator.SpawnDaemon(ctx, gubernator.DaemonConfig{
		GRPCListenAddress: *self, HTTPListenAddress: *web, InstanceID: *self, Logger: logs,
	})
	if err != nil {
		return err
	}
	defer d.Close()
	var all []gubernator.PeerInfo
	for addr := range strings.SplitSeq(*peers, ",") {
		all = append(all, gubernator.PeerInfo{GRPCAddress: addr})
	}
	d.SetPeers(all)
	fmt.Fprintln(stdout, "serving")
	_, err = io.Copy(io.Discard, stdin)
	return err
}
