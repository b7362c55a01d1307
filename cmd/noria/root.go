package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// newRoot returns the tree of commands, in the world of p.
func newRoot(p *process) *cobra.Command {
	root := p.group(&cobra.Command{
		Use:   "noria",
		Short: "A rate limiter without a server to run beside it",
		Long: `Noria limits rates over a fleet of nodes that find each other and share out the keys.

Exit status: 0 fine, 1 denied, 2 wrong usage or configuration, 3 could not reach a node.
Every flag has an environment variable, shown behind it; the command line goes first.`,
		Example: `  noria fleet --nodes 3
  noria check user:42 "100/s burst 200"`,
	})
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(flagError)
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return p.fromEnv(cmd) }
	root.AddCommand(
		newServe(p), newFleet(p),
		newCheck(p), newStatus(p), newHealth(p), newRing(p), newKeys(p), newTop(p), newEvents(p),
		newBench(p), newChaos(p), newConfig(p), newVersion(p),
	)
	return root
}

// group makes cmd one that only has subcommands: without one it prints its help.
func (p *process) group(cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		var known []string
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				known = append(known, c.Name())
			}
		}
		return usagef("unknown command %q%s\n%s", args[0], didYouMean(args[0], known, cmd.CommandPath()+" %s"), seeHelp(cmd))
	}
	return cmd
}

// exactly returns the check that a command has the arguments named and no others.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usagef("%s is missing, want: %s\n%s", names[len(args)], cmd.UseLine(), seeHelp(cmd))
		case len(args) > len(names):
			return usagef("%q is one argument too many, want: %s\n%s%s", args[len(names)], cmd.UseLine(), quoteHint(args), seeHelp(cmd))
		}
		return nil
	}
}

// quoteHint reminds of quotes where a limit fell apart.
func quoteHint(args []string) string {
	for _, a := range args {
		if strings.EqualFold(a, "burst") || strings.EqualFold(a, "per") || strings.EqualFold(a, "quota") || strings.EqualFold(a, "window") {
			return "A limit of several words needs quotes: \"100/s burst 200\".\n"
		}
	}
	return ""
}
