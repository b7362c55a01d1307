package main

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newConfig returns the command config.
func newConfig(p *process) *cobra.Command {
	cmd := p.group(&cobra.Command{
		Use:   "config",
		Short: "Check a configuration file and list what it may have",
		Example: `  noria config check noria.yaml
  noria config fields`,
	})
	cmd.AddCommand(newConfigCheck(p), newConfigFields(p))
	return cmd
}

// newConfigCheck returns the command config check.
func newConfigCheck(p *process) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:     "check FILE",
		Short:   "Say what is wrong with a configuration file, if anything",
		Long:    "Reads a configuration file as serve would and says all that is wrong with it, by line and column.",
		Example: "  noria config check noria.yaml",
		Args:    exactly("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			b, err := readFile(args[0])
			if err != nil {
				return err
			}
			fields, err := checkFile(args[0], b)
			if err != nil {
				return err
			}
			data := struct {
				File   string `json:"file"`
				Fields int    `json:"fields"`
			}{args[0], fields}
			return out.print(p.stdout, data, func(w io.Writer) {
				fmt.Fprintf(w, "%s is fine: %d fields\n", args[0], fields)
			})
		},
	}
	addOutput(section{flags: cmd.Flags(), name: "client"}, &out)
	return cmd
}

// checkFile returns how many fields the configuration file b, read from path, has, or what is wrong with it.
func checkFile(path string, b []byte) (fields int, err error) {
	var s settings
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	addSettings(flags, &s)
	if fields, err = fromFile(flags, path, b); err != nil {
		return 0, err
	}
	if err := s.check(); err != nil {
		return 0, inFileError(path, err)
	}
	if _, err := newNode(s, slog.New(slog.DiscardHandler)); err != nil { // opens nothing
		return 0, inFileError(path, err)
	}
	return fields, nil
}

// A field is what a configuration file may have, and its other names.
type field struct {
	Field   string `json:"field"`
	Flag    string `json:"flag"`
	Env     string `json:"env"`
	Default string `json:"default"`
	Usage   string `json:"usage"`
}

// newConfigFields returns the command config fields.
func newConfigFields(p *process) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "fields",
		Short: "List all settings of serve: field, flag, environment variable and default",
		Long: `Lists all settings of serve.

The field section.name of the file is the variable NORIA_SECTION_NAME. The flag is asked first, then the variable, then
the file; the default answers last.`,
		Example: "  noria config fields --output json",
		Args:    exactly(),
		RunE: func(*cobra.Command, []string) error {
			all := allFields()
			return out.print(p.stdout, all, func(w io.Writer) {
				rows := []string{row("FIELD", "FLAG", "VARIABLE", "DEFAULT", "MEANING")}
				for _, f := range all {
					rows = append(rows, row(f.Field, f.Flag, f.Env, f.Default, f.Usage))
				}
				table(w, rows...)
			})
		},
	}
	addOutput(section{flags: cmd.Flags(), name: "client"}, &out)
	return cmd
}

// allFields returns what a configuration file may have, in the order of the help.
func allFields() []field {
	var all []field
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.SortFlags = false
	addSettings(flags, new(settings))
	flags.VisitAll(func(f *pflag.Flag) {
		_, usage := pflag.UnquoteUsage(f)
		usage, _, _ = strings.Cut(usage, " [$")
		all = append(all, field{
			Field: annotation(f, inFile), Flag: "--" + f.Name, Env: annotation(f, inEnv), Default: f.DefValue, Usage: usage,
		})
	})
	return all
}
