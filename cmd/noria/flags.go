package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The annotations of a flag.
const (
	inEnv  = "noria_env"  // its environment variable
	inFile = "noria_file" // its field of the configuration file, if it has one
	isPath = "noria_path" // that it is a file's path
)

// A section is a group of flags whose environment variables are NORIA_<SECTION>_<NAME>. In a configuration file it is a
// mapping with the section's name in small letters.
type section struct {
	flags *pflag.FlagSet
	name  string
	file  bool // whether configuration files have it
}

// add defines the flag --flag with v. name is what the section calls it; usage is its help, in which `X` names the value.
func (s section) add(flag, name, usage string, v pflag.Value) *pflag.Flag {
	f := s.flags.VarPF(v, flag, "", "")
	env := "NORIA_" + strings.ToUpper(s.name+"_"+name)
	f.Usage = usage + " [$" + env + "]"
	f.Annotations = map[string][]string{inEnv: {env}}
	if s.file {
		f.Annotations[inFile] = []string{s.name + "." + name}
	}
	return f
}

// toggle defines a flag that needs no value.
func (s section) toggle(flag, name, usage string, to *bool) {
	s.add(flag, name, usage, of(to, "bool", "false", yesNo)).NoOptDefVal = "true"
}

// annotation returns f's annotation, "" if it has none.
func annotation(f *pflag.Flag, name string) string {
	if a := f.Annotations[name]; len(a) == 1 {
		return a[0]
	}
	return ""
}

// fromEnv sets the flags of cmd that the command line does not from the environment.
func (p *process) fromEnv(cmd *cobra.Command) error {
	var wrong []error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		env := annotation(f, inEnv)
		text, ok := p.env[env]
		if !ok || f.Changed {
			return
		}
		if err := cmd.Flags().Set(f.Name, text); err != nil {
			wrong = append(wrong, usagef("%s is %q: %w", env, text, want(err)))
		}
	})
	return errors.Join(wrong...)
}

// want returns what the value of a flag says it wants, without what pflag writes before it.
func want(err error) error {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		return invalid.Unwrap()
	}
	return err
}

// flagError says what is wrong with a command line, and what may have been meant.
func flagError(cmd *cobra.Command, err error) error {
	var (
		unknown *pflag.NotExistError
		invalid *pflag.InvalidValueError
		missing *pflag.ValueRequiredError
	)
	switch {
	case errors.As(err, &unknown):
		name := unknown.GetSpecifiedName()
		if short := unknown.GetSpecifiedShortnames(); short != "" {
			return usagef("unknown flag -%s%s\n%s", short, didYouMean(short, flagNames(cmd), "--%s"), seeHelp(cmd))
		}
		return usagef("unknown flag --%s%s\n%s", name, didYouMean(name, flagNames(cmd), "--%s"), seeHelp(cmd))
	case errors.As(err, &invalid):
		return usagef("--%s is %q: %w", invalid.GetFlag().Name, invalid.GetValue(), invalid.Unwrap())
	case errors.As(err, &missing):
		return usagef("--%s has no value\n%s", missing.GetSpecifiedName(), seeHelp(cmd))
	}
	return usagef("%w\n%s", err, seeHelp(cmd))
}

// flagNames returns the names of cmd's flags.
func flagNames(cmd *cobra.Command) []string {
	var names []string
	add := func(f *pflag.Flag) { names = append(names, f.Name) }
	cmd.Flags().VisitAll(add)
	cmd.InheritedFlags().VisitAll(add)
	return names
}

// seeHelp returns where the usage of cmd is explained.
func seeHelp(cmd *cobra.Command) string {
	return fmt.Sprintf("Run \"%s --help\" for what there is.", cmd.CommandPath())
}

// path defines the flag --flag of a file's path. In a configuration file a path is relative to that file's folder.
func (s section) path(flag, name, usage string, to *string) {
	f := s.add(flag, name, usage, of(to, "file", "", text))
	f.Annotations[isPath] = []string{"true"}
}
