package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := command(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// command runs the tool with the arguments args and returns its exit status: 0 fine, 1 not measured, 2 wrong usage.
func command(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if err, is := hidden(ctx, args, stdin, stdout); is {
		return told(stderr, err)
	}
	o, err := readOptions(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	r := newRun(o, func(format string, args ...any) { fmt.Fprintf(stderr, format+"\n", args...) })
	if err := r.measure(ctx); err != nil {
		return told(stderr, err)
	}
	return told(stderr, r.results.write(o.out))
}

// told writes err, if there is one, and returns the exit status.
func told(stderr io.Writer, err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "compare:", err)
	return 1
}

// options say how a run measures.
type options struct {
	out    string        // where results go
	quick  bool          // once and short
	rounds int           // at most
	budget time.Duration // no round begins that would end later
	redis  string        // auto, none or the path of a redis-server
	local  bool          // inside the process only
	scale  bool          // what grows with keys and nodes, too
	only   string        // if not empty, services alone whose names contain it

	keys       []int         // numbers of keys in the process
	benchTime  time.Duration // of one benchmark in the process
	remoteKeys int           // number of keys from afar
	loadTime   time.Duration // of one load from afar
	growKeys   []int         // numbers of keys as they grow
	growNodes  []int         // numbers of nodes as they grow
}

// readOptions reads the arguments. It says on stderr what is wrong with them.
func readOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.out, "out", "results.md", "write results to `FILE`, which ends in .md, and to the .json beside it")
	flags.BoolVar(&o.quick, "quick", false, "measure once and briefly, to see that everything runs")
	flags.IntVar(&o.rounds, "rounds", 8, "measure everything at most `N` times; 6 to 8 give an interval of 95 %")
	flags.DurationVar(&o.budget, "budget", 15*time.Minute, "begin no round that would end later than `TIME` after the start")
	flags.StringVar(&o.redis, "redis", "auto", "`PATH` of a redis-server; auto finds or installs one, none does without")
	flags.BoolVar(&o.local, "local", false, "measure checks inside the process only")
	flags.BoolVar(&o.scale, "scale", true, "measure too what grows with keys and nodes")
	flags.StringVar(&o.only, "only", "", "measure nothing but services whose names contain `TEXT`")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if err := o.check(flags.Args()); err != nil {
		fmt.Fprintln(stderr, "compare:", err)
		return o, err
	}
	return o.sized(), nil
}

// sized returns o with how much is measured, and for how long.
func (o options) sized() options {
	if o.quick {
		o.rounds, o.keys, o.benchTime = 1, []int{1, fewKeys, 50_000}, 2*time.Millisecond
		o.remoteKeys, o.loadTime = 500, 50*time.Millisecond
		o.growKeys, o.growNodes = []int{1000, 10_000, 50_000}, []int{1, 2}
		return o
	}
	o.keys, o.benchTime = []int{1, fewKeys, 1_000_000}, 100*time.Millisecond
	o.remoteKeys, o.loadTime = 20_000, time.Second
	o.growKeys, o.growNodes = []int{1000, 10_000, 100_000, 1_000_000, 10_000_000}, []int{1, 2, 3, 5, 7, 9}
	return o
}

// check returns what is wrong with o and the arguments that no flag took.
func (o options) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("argument %q is none of ours: there are only flags", rest[0])
	case filepath.Ext(o.out) != ".md":
		return fmt.Errorf("-out is %q, want a name that ends in .md", o.out)
	case o.rounds < 1:
		return fmt.Errorf("-rounds is %d, want 1 or more", o.rounds)
	case o.budget <= 0:
		return fmt.Errorf("-budget is %v, want more than 0", o.budget)
	}
	return nil
}
