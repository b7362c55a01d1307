package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/transport/noriapb"
)

// checking is what the command check asks.
type checking struct {
	client     client
	cost       int
	id         string
	all        []string
	durability string
	onLost     string
	coldStart  string
}

// newCheck returns the command check.
func newCheck(p *process) *cobra.Command {
	var c checking
	cmd := &cobra.Command{
		Use:   "check [KEY LIMIT] [--all KEY=LIMIT]...",
		Short: "Ask a node for tokens",
		Long: `Asks a node for tokens of a key's bucket. Exit status 0 says that they were taken, 1 that they were denied.

With --all, which may be repeated and used with or without KEY and LIMIT, tokens are taken of all buckets or of none.`,
		Example: `  noria check user:42 "100/s burst 200"
  noria check user:42 100/s --cost 0
  noria check user:42 100/s --all tenant:7=1000/s --all "global=quota 1000000 per day"
  noria check user:42 100/s && echo go ahead`,
		Args: c.args,
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), p, args) },
	}
	own, shared := section{flags: cmd.Flags(), name: "check"}, section{flags: cmd.Flags(), name: "client"}
	own.add("cost", "cost", "`TOKENS` to take; 0 tells the level", of(&c.cost, "number", "1", whole(0, bucket.MaxCost)))
	own.add("id", "id", "`ID` that makes the request idempotent: the same again charges nothing", of(&c.id, "id", "", text))
	own.add("all", "all", "`KEY=LIMIT` to take of too, all or nothing; may be repeated", &repeated{to: &c.all})
	own.add("durability", "durability", "what the death of the holder may cost: none, async or sync", of(&c.durability, "word", "async", choice("none", "async", "sync")))
	own.add("on-lost", "on_lost", "who answers without the holder: share, deny or allow", of(&c.onLost, "word", "share", choice("share", "deny", "allow")))
	own.add("cold-start", "cold_start", "what a bucket holds whose state is lost: full or empty", of(&c.coldStart, "word", "full", choice("full", "empty")))
	c.client.addNode(shared)
	c.client.addCommon(shared)
	return cmd
}

// repeated is a flag that may be given several times. Unlike list it leaves commas alone: keys may have them.
type repeated struct{ to *[]string }

// String implements pflag.Value.
func (r *repeated) String() string { return strings.Join(*r.to, " ") }

// Type implements pflag.Value.
func (r *repeated) Type() string { return "KEY=LIMIT" }

// Set implements pflag.Value.
func (r *repeated) Set(s string) error {
	if i := strings.LastIndexByte(s, '='); i <= 0 || i == len(s)-1 {
		return errors.New("want KEY=LIMIT, such as user:42=100/s")
	}
	*r.to = append(*r.to, s)
	return nil
}

// args checks that there is a key with a limit, or --all instead.
func (c *checking) args(cmd *cobra.Command, args []string) error {
	if len(args) == 0 && cmd.Flags().Changed("all") {
		return nil
	}
	return exactly("KEY", "LIMIT")(cmd, args)
}

// checks returns what to ask for.
func (c *checking) checks(args []string) ([]*noriapb.CheckRequest, error) {
	pairs := make([][2]string, 0, 1+len(c.all))
	if len(args) == 2 {
		pairs = append(pairs, [2]string{args[0], args[1]})
	}
	for _, a := range c.all {
		i := strings.LastIndexByte(a, '=') // a limit never has one, a key may
		pairs = append(pairs, [2]string{a[:i], a[i+1:]})
	}
	checks := make([]*noriapb.CheckRequest, len(pairs))
	for i, pair := range pairs {
		l, err := bucket.ParseLimit(pair[1])
		if err != nil {
			return nil, usagef("%q: %w", pair[1], err)
		}
		cost := int64(c.cost)
		checks[i] = &noriapb.CheckRequest{
			Key: pair[0], Limit: l.String(), Cost: &cost, Id: c.id,
			Durability: noriapb.Durability(noriapb.Durability_value["DURABILITY_"+strings.ToUpper(c.durability)]),
			OnLost:     noriapb.OnLost(noriapb.OnLost_value["ON_LOST_"+strings.ToUpper(c.onLost)]),
			ColdStart:  noriapb.ColdStart(noriapb.ColdStart_value["COLD_START_"+strings.ToUpper(c.coldStart)]),
		}
	}
	return checks, nil
}

// run asks and prints the answer.
func (c *checking) run(ctx context.Context, p *process, args []string) error {
	checks, err := c.checks(args)
	if err != nil {
		return err
	}
	var answer *noriapb.CheckAllResponse
	err = c.client.ask(ctx, func(ctx context.Context, node noriapb.NoriaClient) (err error) {
		answer, err = checkAll(ctx, node, checks)
		return err
	})
	if err != nil {
		return err
	}
	if err := c.client.out.print(p.stdout, answerJSON(checks, answer), answerText(p.paint(p.stdout), checks, answer)); err != nil {
		return err
	}
	if !answer.GetAllowed() {
		return denied()
	}
	return nil
}

// checkAll asks node for checks; one alone in the cheaper way.
func checkAll(ctx context.Context, node noriapb.NoriaClient, checks []*noriapb.CheckRequest) (*noriapb.CheckAllResponse, error) {
	if len(checks) > 1 {
		return node.CheckAll(ctx, &noriapb.CheckAllRequest{Checks: checks})
	}
	one, err := node.Check(ctx, checks[0])
	if err != nil {
		return nil, err
	}
	all := &noriapb.CheckAllResponse{
		Allowed: one.GetAllowed(), RetryAfterNs: one.GetRetryAfterNs(), DelayNs: one.GetDelayNs(),
		Checks: []*noriapb.CheckResponse{one},
	}
	if !one.GetAllowed() {
		all.DeniedBy = checks[0].GetKey()
	}
	return all, nil
}

// nanos returns ns as the API has it: -1 is never.
func nanos(ns int64) time.Duration {
	if ns < 0 {
		return bucket.Never
	}
	return time.Duration(ns)
}
