package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// maxFile is the most bytes of a configuration file.
const maxFile = 64 << 10

// readFile reads the configuration file at path.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, usagef("configuration file: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, usagef("configuration file: %w", err)
	}
	if len(b) > maxFile {
		return nil, usagef("configuration file %s has more than %d bytes", path, maxFile)
	}
	return b, nil
}

// fromFile sets the flags that neither the command line nor the environment does from the YAML in b, which was read from
// path, and returns how many fields it has. All of b is checked, also what is overruled, and all that is wrong is told.
// flags have those of addSettings.
func fromFile(flags *pflag.FlagSet, path string, b []byte) (fields int, err error) {
	all, err := parseFile(b)
	if err != nil {
		return 0, inFileError(path, err)
	}
	if err := try(path, all); err != nil {
		return 0, err
	}
	known := fileFlags(flags)
	for _, s := range all {
		if f := known[s.field]; !f.Changed {
			if err := s.set(f); err != nil {
				return 0, inFileError(path, err)
			}
		}
	}
	return len(all), nil
}

// maxWrong is how many errors of a file are told at once.
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
			wrong = append(wrong, inFileError(path, at{s.line, s.column, err}))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	if more := len(wrong) - maxWrong; more > 0 {
		wrong = append(wrong[:maxWrong], usagef("%s: and %d more", path, more))
	}
	return &exit{status: statusUsage, err: errors.Join(wrong...)}
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
			return fmt.Errorf("%s is %q: %w", s.field, clip(v), err)
		}
	}
	return nil
}

// unknown says that no field has s's name, and which may have been meant.
func (s setting) unknown(known map[string]*pflag.Flag) error {
	var names []string
	for name := range known {
		names = append(names, name)
	}
	slices.Sort(names)
	return fmt.Errorf("unknown field %s%s", clip(s.field), didYouMean(s.field, names, "%s"))
}

// at is an error at a place in a file.
type at struct {
	line, column int
	err          error
}

// Error implements error.
func (a at) Error() string { return a.err.Error() }

// Unwrap returns the error without its place.
func (a at) Unwrap() error { return a.err }

// inFileError puts path, and the place if err has one, before err.
func inFileError(path string, err error) error {
	var place at
	if errors.As(err, &place) && place.line > 0 {
		return usagef("%s:%d:%d: %w", path, place.line, place.column, err)
	}
	return usagef("%s: %w", path, err)
}

// clip cuts s to a length that fits an error.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
