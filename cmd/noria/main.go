// Command noria runs and asks a peer-to-peer rate limiter: nodes that find each other, share out the keys, and need
// nothing else beside them.
package main

import (
	"os"
	_ "time/tzdata" // calendar quotas need time zones, also on machines that have none installed
)

func main() {
	os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr, os.Environ()))
}
