package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/pflag"

	"github.com/noriahq/noria/bucket/policy"
	"github.com/noriahq/noria/bucket/policy/strict"
)

// readFile reads the configuration file at path.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, usagef("configuration file: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, strict.MaxText+1))
	if err != nil {
		return nil, usagef("configuration file: %w", err)
	}
	if len(b) > strict.MaxText {
		return nil, usagef("configuration file %s has more than %d bytes", path, strict.MaxText)
	}
	return b, nil
}

// contents are what a configuration file has besides the settings that are flags.
type contents struct {
	settings []setting      // those that are flags
	policy   *policy.Policy // nil without the sections of one
}

// fromFile sets the flags that neither the command line nor the environment does from the YAML in b, which was read from
// path, and reads the policy in it, which env overrides. All of b is checked, also what is overruled, and all that is wrong
// is told. flags have those of addSettings.
func fromFile(flags *pflag.FlagSet, path string, b []byte, env map[string]string) (contents, error) {
	all, rules, err := parseFile(b)
	if err != nil {
		return contents{}, inFileError(path, err)
	}
	read, err := policy.Read(path, rules, env, variables()...)
	if wrong := errors.Join(try(path, all), err); wrong != nil {
		return contents{}, &exit{status: statusUsage, err: wrong}
	}
	known := fileFlags(flags)
	for _, s := range all {
		if f := known[s.field]; !f.Changed {
			if err := s.set(f); err != nil {
				return contents{}, inFileError(path, err)
			}
			if err := s.locate(f, filepath.Dir(path)); err != nil {
				return contents{}, inFileError(path, err)
			}
		}
	}
	if rules == nil {
		read = nil
	}
	return contents{settings: all, policy: read}, nil
}

// variables returns the environment variables of the settings of serve. Those of other commands are unlike all of policies.
func variables() []string {
	var names []string
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	addSettings(flags, new(settings))
	flags.VisitAll(func(f *pflag.Flag) { names = append(names, annotation(f, inEnv)) })
	return names
}

// maxWrong is how many errors of a file's settings are told at once.
const maxWrong = 20

// try sets all to flags that nobody looks at.
func try(path string, all []setting) error {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	addSettings(flags, new(settings))
	known := fileFlags(flags)
	var wrong []error
	for _, s := range all {
		err := s.unknown(known)
		if f := known[s.field]; f != nil {
			err = s.set(f)
		}
		if err != nil {
			wrong = append(wrong, inFileError(path, &strict.Error{Line: s.line, Column: s.column, Err: err}))
		}
	}
	if more := len(wrong) - maxWrong; more > 0 {
		wrong = append(wrong[:maxWrong], usagef("%s: and %d more", path, more))
	}
	return errors.Join(wrong...)
}

// fileFlags returns the flags that a file can set by the names of their fields.
func fileFlags(flags *pflag.FlagSet) map[string]*pflag.Flag {
	known := map[string]*pflag.Flag{}
	flags.VisitAll(func(f *pflag.Flag) {
		if name := annotation(f, inFile); name != "" {
			known[name] = f
		}
	})
	return known
}

// set sets f to what s says. It leaves f.Changed alone: that is for what overrules a file.
func (s setting) set(f *pflag.Flag) error {
	if l, ok := f.Value.(*list); ok {
		*l.to, l.set = nil, true
	} else if len(s.values) != 1 {
		return fmt.Errorf("%s is a list, want one value", s.field)
	}
	for _, v := range s.values {
		if err := f.Value.Set(v); err != nil {
			return fmt.Errorf("%s is %q: %w", s.field, strict.Clip(v), err)
		}
	}
	return nil
}

// locate makes the path that s has set f to one from here, where the file that s stands in is in dir.
func (s setting) locate(f *pflag.Flag, dir string) error {
	if annotation(f, isPath) == "" || filepath.IsAbs(s.values[0]) {
		return nil
	}
	return f.Value.Set(filepath.Join(dir, s.values[0]))
}

// unknown says that no field has s's name, and which may have been meant.
func (s setting) unknown(known map[string]*pflag.Flag) error {
	var names []string
	for name := range known {
		names = append(names, name)
	}
	slices.Sort(names)
	return fmt.Errorf("unknown field %s%s", strict.Clip(s.field), didYouMean(s.field, names, "%s"))
}

// inFileError puts path, and the place if it has one, before err, or before each that err joins.
func inFileError(path string, err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, one := range joined.Unwrap() {
			all = append(all, inFileError(path, one))
		}
		return &exit{status: statusUsage, err: errors.Join(all...)}
	}
	var place *strict.Error
	if errors.As(err, &place) && place.Line > 0 {
		return usagef("%s:%d:%d: %w", path, place.Line, place.Column, err)
	}
	return usagef("%s: %w", path, err)
}
