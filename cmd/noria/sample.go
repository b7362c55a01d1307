package main

import "github.com/spf13/cobra"

// newConfigSample returns the command config sample.
func newConfigSample(p *process) *cobra.Command {
	return &cobra.Command{
		Use:   "sample",
		Short: "Print a policy to begin with",
		Long: `Prints a policy to begin with: limits by address, by user and tier, for all together, and of a language model's tokens, on
routes in front of an upstream on this machine.`,
		Example: "  noria config sample > noria.yaml",
		Args:    exactly(),
		RunE: func(*cobra.Command, []string) error {
			_, err := p.stdout.Write(sample)
			return err
		},
	}
}
