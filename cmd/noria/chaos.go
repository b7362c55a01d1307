package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/noriahq/noria/e2e/chaos"
)

// chaosRun is what the command chaos does.
type chaosRun struct {
	file   string
	random bool
	seed   int
	sizes  struct {
		nodes, gateways, clients, keys, rate int
		duration                             time.Duration
	}

	binary    string
	netns     bool
	printPlan bool
	report    string
	out       output
}

// newChaos returns the command chaos.
func newChaos(p *process) *cobra.Command {
	var c chaosRun
	cmd := &cobra.Command{
		Use:   "chaos",
		Short: "Break a fleet under load and see that no promise was broken",
		Long: `Starts a fleet of nodes on this machine, asks them for tokens of thousands of keys, and meanwhile carries out a plan of
faults: nodes join, leave, are killed, restarted, frozen and cut off. At the end it tells for each promise what was seen
at worst. A complaint about a limit is never wrong: only what certainly was admitted in a window of time counts.

A plan is a YAML file, or made up from a seed with --random; --print-plan shows one, as an example too. Flags for its
sizes go before what the file says. Cuts between nodes, delay and loss need --netns, which gives every node a network
namespace of its own; that needs Linux and root, and changes nothing in the network of the machine itself.

Exit status: 0 all promises kept, 1 one broken or stopped before the end, 2 wrong usage or plan, 3 the fleet did not
start. All nodes are ended and all namespaces removed in every case.`,
		Example: `  noria chaos --random --duration 60s
  noria chaos --random --seed 7 --print-plan > plan.yaml
  noria chaos --plan plan.yaml --report chaos.html
  sudo noria chaos --random --netns --duration 2m --output json`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			plan, err := c.plan(cmd)
			if err != nil {
				return err
			}
			if c.printPlan {
				b, err := plan.YAML()
				if err != nil {
					return &exit{status: statusFailed, err: err}
				}
				_, err = p.stdout.Write(b)
				return err
			}
			return c.run(cmd.Context(), p, plan)
		},
	}
	c.addFlags(section{flags: cmd.Flags(), name: "chaos"})
	_ = cmd.MarkFlagFilename("plan", "yaml", "yml") // fails only without the flag
	addOutput(section{flags: cmd.Flags(), name: "client"}, &c.out)
	return cmd
}

// addFlags defines the flags of c.
func (c *chaosRun) addFlags(s section) {
	s.add("plan", "plan", "YAML `FILE` with the plan", of(&c.file, "file", "", text))
	s.toggle("random", "random", "make up the faults", &c.random)
	s.add("seed", "seed", "`NUMBER` that decides on all that is made up; 0 takes another one each time", of(&c.seed, "number", "0", whole(0, math.MaxInt)))
	s.add("duration", "duration", "`TIME` after which no request starts (default 30s or the plan's)", of(&c.sizes.duration, "duration", "", duration(time.Second, chaos.MaxDuration)))
	s.add("nodes", "nodes", "`NUMBER` of nodes at first (default 3 or the plan's)", of(&c.sizes.nodes, "number", "", whole(1, chaos.MaxNodes)))
	s.add("gateways", "gateways", "`NUMBER` of nodes beside them that hold no keys and are asked too (default 0 or the plan's)", of(&c.sizes.gateways, "number", "", whole(1, chaos.MaxNodes-1)))
	s.add("clients", "clients", "`NUMBER` of clients that ask (default 4 or the plan's)", of(&c.sizes.clients, "number", "", whole(1, chaos.MaxClients)))
	s.add("keys", "keys", "`NUMBER` of different keys (default 2000 or the plan's)", of(&c.sizes.keys, "number", "", whole(1, chaos.MaxKeys)))
	s.add("rate", "rate", "`REQUESTS` to start a second (default 1000 or the plan's; with --random 250 for each processor if that is less)", of(&c.sizes.rate, "number", "", whole(1, chaos.MaxRate)))
	s.add("binary", "binary", "`PATH` of the noria binary to run (default: this one)", of(&c.binary, "path", "", text))
	s.toggle("netns", "netns", "give every node a network namespace of its own, so that nodes can be cut off; Linux, as root", &c.netns)
	s.toggle("print-plan", "print_plan", "print the plan as YAML and do nothing else", &c.printPlan)
	s.add("report", "report", "HTML `FILE` to write: the run in pictures, on one page of its own", of(&c.report, "file", "", text))
}

// plan returns the plan that is asked for.
func (c *chaosRun) plan(cmd *cobra.Command) (chaos.Plan, error) {
	switch {
	case c.file != "" && c.random:
		return chaos.Plan{}, usagef("--plan and --random exclude each other: a plan has its faults\n%s", seeHelp(cmd))
	case c.file == "" && !c.random:
		return chaos.Plan{}, usagef("which faults? Want --plan FILE or --random\n%s", seeHelp(cmd))
	}
	plan := chaos.New()
	if c.file != "" {
		b, err := readPlan(c.file)
		if err != nil {
			return plan, err
		}
		if plan, err = chaos.Parse(b, c.netns); err != nil {
			return plan, usagef("plan %s:\n%w", c.file, err)
		}
	}
	if c.random && c.file == "" {
		plan.Rate = min(plan.Rate, 250*runtime.NumCPU()) // or the load alone starves the nodes that it is to find fault with
	}
	c.resize(&plan)
	if c.random {
		for plan.Seed = uint64(c.seed); plan.Seed == 0; {
			plan.Seed = uint64(time.Now().UnixNano()) % 1_000_000
		}
		plan = chaos.Random(plan, c.netns)
	} else if c.seed != 0 {
		plan.Seed = uint64(c.seed)
	}
	if err := plan.Check(c.netns); err != nil {
		return plan, usagef("plan with the flags' sizes:\n%w", err)
	}
	return plan, nil
}

// resize sets the sizes that flags give.
func (c *chaosRun) resize(plan *chaos.Plan) {
	for from, to := range map[*int]*int{
		&c.sizes.nodes: &plan.Nodes, &c.sizes.gateways: &plan.Gateways, &c.sizes.clients: &plan.Clients, &c.sizes.keys: &plan.Keys, &c.sizes.rate: &plan.Rate,
	} {
		if *from != 0 {
			*to = *from
		}
	}
	if c.sizes.duration != 0 {
		plan.Duration = c.sizes.duration
	}
}

// maxPlan is the most bytes of a plan's file.
const maxPlan = 1 << 20

// readPlan reads the plan's file at path.
func readPlan(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, usagef("plan: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPlan+1))
	if err != nil {
		return nil, usagef("plan: %w", err)
	}
	return b, nil
}

// run carries out the plan and prints the verdict.
func (c *chaosRun) run(ctx context.Context, p *process, plan chaos.Plan) error {
	fleet, report, err := c.prepare(ctx, plan)
	if err != nil {
		return err
	}
	if report != nil {
		defer report.Close() // written by then
	}
	h, err := chaos.Run(ctx, chaos.Config{Plan: plan, Fleet: fleet, Watch: watchChaos(p)})
	if isTerminal(p.stderr) {
		fmt.Fprint(p.stderr, "\r\x1b[K")
	}
	var start *chaos.StartError
	switch {
	case errors.As(err, &start) && ctx.Err() != nil:
		return &exit{status: statusFailed, err: errors.New("stopped before the fleet was ready")}
	case errors.As(err, &start):
		return &exit{status: statusUnreachable, err: err}
	case err != nil:
		return &exit{status: statusFailed, err: err}
	}
	v := chaos.Judge(h)
	if report != nil {
		if err := chaos.WriteReport(report, h, v); err != nil {
			return &exit{status: statusFailed, err: fmt.Errorf("write the report: %w", err)}
		}
	}
	if err := c.out.print(p.stdout, v, chaosText(p.paint(p.stdout), v)); err != nil {
		return err
	}
	switch {
	case !v.Kept:
		return denied()
	case v.Stopped:
		return &exit{status: statusFailed, err: errors.New("stopped before the end of the plan")}
	}
	return nil
}

// prepare returns the fleet, of which nothing runs yet, and the open file of the report, nil for none.
func (c *chaosRun) prepare(ctx context.Context, plan chaos.Plan) (fleet chaos.Fleet, report *os.File, err error) {
	binary := c.binary
	if binary == "" {
		if binary, err = os.Executable(); err != nil {
			return nil, nil, usagef("this binary's path is not known, say it with --binary: %w", err)
		}
	} else if info, err := os.Stat(binary); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
		return nil, nil, usagef("--binary is %q, want the path of an executable file", binary)
	}
	if c.report != "" { // opened now, so that a run does not end in vain
		if report, err = os.Create(c.report); err != nil {
			return nil, nil, usagef("--report: %w", err)
		}
	}
	config := chaos.ServeConfig{Binary: binary, PeerWait: plan.PeerWait, Gateways: plan.GatewayNames()}
	if c.netns {
		if config.Networks, err = chaos.NewNetworks(ctx, plan.Delay, plan.Loss); err != nil {
			return nil, nil, &exit{status: statusUnreachable, err: fmt.Errorf("--netns: %w", err)}
		}
	}
	return chaos.Serve(config), report, nil
}
