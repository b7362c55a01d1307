package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/noriahq/noria/bucket/policy"
	"github.com/noriahq/noria/transport/auth"
)

// newConfig returns the command config.
func newConfig(p *process) *cobra.Command {
	cmd := p.group(&cobra.Command{
		Use:   "config",
		Short: "Make or check a configuration file, list what it may have, hash API keys",
		Example: `  noria config init --tls && noria fleet --secure secure
  noria config check noria.yaml
  noria config fields
  noria config sample > noria.yaml
  noria config hash-key --id alice`,
	})
	cmd.AddCommand(newConfigInit(p), newConfigCheck(p), newConfigFields(p), newConfigSample(p), newConfigHashKey(p))
	return cmd
}

// newConfigCheck returns the command config check.
func newConfigCheck(p *process) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Say what is wrong with a configuration file or a folder of --rls-config, if anything",
		Long: `Reads a configuration file as serve would, the policy in it and the environment included, and says all that is wrong, by
line and column. A folder is read as serve reads that of --rls-config. Exit status 2 says that something is wrong.`,
		Example: "  noria config check noria.yaml\n  noria config check ratelimit/config",
		Args:    exactly("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			if info, err := os.Stat(args[0]); err == nil && info.IsDir() {
				return checkRules(p, args[0], &out)
			}
			b, err := readFile(args[0])
			if err != nil {
				return err
			}
			in, err := checkFile(args[0], b, p.env)
			if err != nil {
				return err
			}
			data := checked{File: args[0], Fields: len(in.settings)}
			if in.policy != nil {
				data.Limits, data.Routes, data.Hash = len(in.policy.Limits), len(in.policy.Routes), fmt.Sprintf("%016x", in.policy.Hash)
			}
			return out.print(p.stdout, data, data.text)
		},
	}
	addOutput(section{flags: cmd.Flags(), name: "client"}, &out)
	return cmd
}

// checkRules says what is wrong with the rules in dir.
func checkRules(p *process, dir string, out *output) error {
	read, err := readRules(dir)
	if err != nil {
		return err
	}
	data := checkedRules{Folder: dir}
	data.Domains, data.Limits = read.Count()
	return out.print(p.stdout, data, data.text)
}

// checkedRules is what config check says of a folder in which nothing is wrong.
type checkedRules struct {
	Folder  string `json:"folder"`
	Domains int    `json:"domains"`
	Limits  int    `json:"limits"`
}

// text writes c for people.
func (c checkedRules) text(w io.Writer) {
	fmt.Fprintf(w, "%s is fine: %d domains with %d limits\n", c.Folder, c.Domains, c.Limits)
}

// checked is what config check says of a file in which nothing is wrong.
type checked struct {
	File   string `json:"file"`
	Fields int    `json:"fields"` // of the settings of serve
	Limits int    `json:"limits"`
	Routes int    `json:"routes"`
	Hash   string `json:"policy_hash,omitempty"` // "" without a policy
}

// text writes c for people.
func (c checked) text(w io.Writer) {
	if c.Hash == "" {
		fmt.Fprintf(w, "%s is fine: %d fields\n", c.File, c.Fields)
		return
	}
	fmt.Fprintf(w, "%s is fine: %d fields, and a policy of %d limits and %d routes with the hash %s\n", c.File, c.Fields, c.Limits, c.Routes, c.Hash)
}

// checkFile returns what the configuration file b, read from path, has, or what is wrong with it.
func checkFile(path string, b []byte, env map[string]string) (contents, error) {
	var s settings
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	addSettings(flags, &s)
	in, err := fromFile(flags, path, b, env)
	if err != nil {
		return contents{}, err
	}
	s.policy = in.policy
	if err := s.check(); err != nil {
		return contents{}, inFileError(path, err)
	}
	if _, _, err := newNode(s, nil, slog.New(slog.DiscardHandler)); err != nil { // opens nothing
		return contents{}, inFileError(path, err)
	}
	if in.policy != nil {
		if err := auth.Check(in.policy); err != nil {
			return contents{}, inFileError(path, err)
		}
	}
	return in, nil
}

// A field is what a configuration file may have, and its other names.
type field struct {
	Field   string `json:"field"`
	Flag    string `json:"flag,omitempty"` // "" for those of policies
	Env     string `json:"env"`
	Default string `json:"default"`
	Usage   string `json:"usage"`
}

// newConfigFields returns the command config fields.
func newConfigFields(p *process) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "fields",
		Short: "List all settings of serve and all fields of a policy, with flag, environment variable and default",
		Long: `Lists all settings of serve, and then all fields of a policy, in which names in capitals stand for any.

The field section.name of the file is the variable NORIA_SECTION_NAME: in capitals, and with _ for all else than letters
and digits. The flag is asked first, then the variable, then the file; the default answers last. Policies have no flags.`,
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
	for _, f := range policy.Fields() {
		all = append(all, field{Field: f.Path, Env: f.Variable, Default: f.Default, Usage: f.Usage})
	}
	return all
}
