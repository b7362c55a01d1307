package policy

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/noriahq/noria/bucket/nearest"
	"github.com/noriahq/noria/bucket/policy/strict"
)

// prefix is what variables of ours begin with.
const prefix = "NORIA_"

// variable returns the environment variable that overrides the field that path leads to: in capitals, and with _ for
// everything else than letters and digits.
func variable(path []string) string {
	return prefix + strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, strings.Join(path, "_"))
}

// override returns what the environment says of the field that path leads to, if anything. An empty variable is none.
func (d *decoder) override(path []string) (v value, ok bool) {
	name, field := variable(path), strings.Join(path, ".")
	other, twice := d.known[name]
	d.known[name] = field
	text := d.env[name]
	if text == "" {
		return value{}, false
	}
	v = value{text: text, at: place{variable: name}}
	if twice {
		d.failf(v.at, "both %s and %s have this variable, rename one", strict.Clip(other), strict.Clip(field))
		return value{}, false
	}
	return v, true
}

// overridden says whether the environment has something of the section that path leads to.
func (d *decoder) overridden(path []string) bool {
	section := variable(path) + "_"
	for name, text := range d.env {
		if strings.HasPrefix(name, section) && text != "" {
			return true
		}
	}
	return false
}

// learn adds the variables of a section that is not there to those that are known, for slips elsewhere.
func (d *decoder) learn(table []field, path []string) {
	for _, f := range table {
		at := append(path[:len(path):len(path)], f.name)
		switch {
		case f.section != nil:
			inner, _ := f.section()
			d.learn(inner, at)
		case f.one != nil, f.many != nil:
			d.known[variable(at)] = strings.Join(at, ".")
		}
	}
}

// unknown refuses variables that look like overrides and name nothing. Those of others are none of them.
func (d *decoder) unknown(others []string) {
	known := slices.Sorted(maps.Keys(d.known))
	for _, name := range slices.Sorted(maps.Keys(d.env)) {
		if d.known[name] != "" || d.env[name] == "" || !strings.HasPrefix(name, prefix) || slices.Contains(others, name) || isServiceLink(name) {
			continue
		}
		// Compared without what all have: it would make every name like every other.
		near := nearest.To(strings.TrimPrefix(name, prefix), trimmed(known), 3)
		switch ours := isOurs(name); {
		case near != "" && (ours || nearest.Distance(strings.TrimPrefix(name, prefix), near) <= 2):
			d.failf(place{variable: name}, "names no field, did you mean %s%s?", prefix, near)
		case ours:
			d.failf(place{variable: name}, "names no field of this policy")
		}
	}
}

// trimmed returns names without the prefix.
func trimmed(names []string) []string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = strings.TrimPrefix(name, prefix)
	}
	return all
}

// isOurs says whether a variable begins as those of policies do, or nearly so.
func isOurs(name string) bool {
	first, _, ok := strings.Cut(strings.TrimPrefix(name, prefix), "_")
	for _, section := range []string{"LIMITS", "ROUTES", "IDENTITIES"} {
		if ok && nearest.Distance(first, section) <= 1 {
			return true
		}
	}
	return slices.ContainsFunc(Sections(), func(s string) bool {
		own := variable([]string{s})
		return name == own || strings.HasPrefix(name, own+"_")
	})
}

// isServiceLink says whether Kubernetes sets a variable of that name for a service whose name begins with noria.
func isServiceLink(name string) bool {
	return regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT|PORT_[0-9]+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)$`).MatchString(name)
}
