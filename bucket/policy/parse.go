package policy

import (
	"errors"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/noriahq/noria/bucket/policy/strict"
)

// Sections returns the names that a policy file has at its top. All others are someone else's.
func Sections() []string { return fieldNames((&draft{policy: &Policy{}}).fields()) }

// Parse reads a policy from the YAML in text, which came from the file name, with overrides from env, a process's
// environment. others are the names of variables with NORIA_ that belong to someone else.
//
// The error joins all that is wrong, at most 20 things, each an *Error.
func Parse(name string, text []byte, env map[string]string, others ...string) (*Policy, error) {
	root, err := strict.Parse(text)
	if err != nil {
		return nil, inFile(name, err)
	}
	return Read(name, root, env, others...)
}

// Read is Parse for a file that was read already, such as one in which others have sections, too: root has those of
// Sections only. A nil root is an empty file, which the environment may fill.
func Read(name string, root *strict.Node, env map[string]string, others ...string) (*Policy, error) {
	d := &decoder{file: name, env: env, known: map[string]string{}}
	all := &draft{decoder: d, policy: &Policy{}}
	d.fields(all.fields(), root, nil)
	d.unknown(others)
	all.finish()
	if err := d.err(); err != nil {
		return nil, err
	}
	all.policy.Hash = d.hash()
	return all.policy, nil
}

// hash returns the hash of the canonical form.
func (d *decoder) hash() uint64 {
	lines := make([]string, len(d.lines))
	for i, line := range d.lines {
		lines[i] = line()
	}
	slices.Sort(lines)
	return xxhash.Sum64String(strings.Join(lines, "\n"))
}

// inFile returns the errors of package strict as ours.
func inFile(name string, err error) error {
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	d := &decoder{file: name}
	for _, err := range all {
		var at *strict.Error
		if errors.As(err, &at) {
			d.fail(place{line: at.Line, column: at.Column}, at.Err)
		} else {
			d.fail(place{}, err)
		}
	}
	return d.err()
}
