package certs

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// DefaultNames is the URI by which a certificate names a node of a cluster, as SPIFFE's do.
const DefaultNames = "spiffe://noria/{label}/node/{name}"

// CheckName returns a pattern of names as it is, or what is wrong with it. It is a URI, with a scheme, or a DNS name; in it
// {label} stands for the cluster's label, {name} for the node's name, and * for one part that may be anything: what is
// between slashes in a URI, between dots in a DNS name.
func CheckName(pattern string) (string, error) {
	_, err := compile(pattern, "x")
	return pattern, err
}

// A name is a pattern of names, ready to be looked for.
type name struct {
	pattern string
	uri     bool
	match   *regexp.Regexp // whose group, if it has one, is the node's name
}

// compile returns the pattern for the cluster with the label.
func compile(pattern, label string) (name, error) {
	n := name{pattern: pattern, uri: strings.Contains(pattern, "://")}
	bad := errors.New("want a URI such as " + DefaultNames + ", or a DNS name such as {name}.noria.svc")
	bare := strings.NewReplacer("{label}", "l", "{name}", "n", "*", "x").Replace(pattern)
	if bare == "" || len(pattern) > 1024 || strings.ContainsAny(bare, "{} \t\r\n") || strings.Count(pattern, "{name}") > 1 {
		return name{}, bad
	}
	if u, err := url.Parse(bare); n.uri && (err != nil || u.Scheme == "" || u.Host == "") {
		return name{}, bad
	}
	if !n.uri && strings.ContainsAny(bare, "/:@") {
		return name{}, bad
	}
	part, whole, said := `[^.]+`, `(.+)`, strings.ToLower(label)
	if n.uri {
		part, whole, said = `[^/]+`, `([^/]+)`, url.PathEscape(label)
	}
	expr := regexp.QuoteMeta(pattern)
	expr = strings.ReplaceAll(expr, `\{label\}`, regexp.QuoteMeta(said))
	expr = strings.ReplaceAll(expr, `\{name\}`, whole)
	expr = strings.ReplaceAll(expr, `\*`, part)
	if !n.uri {
		expr = "(?i)" + expr
	}
	match, err := regexp.Compile("^(?:" + expr + ")$")
	if err != nil {
		return name{}, bad
	}
	n.match = match
	return n, nil
}

// find says whether leaf has a name by n, for the node id if n tells nodes apart; "" is any node.
func (n name) find(leaf *x509.Certificate, id string) bool {
	if n.uri {
		for _, u := range leaf.URIs {
			if n.is(u.String(), url.PathEscape(id), id == "") {
				return true
			}
		}
		return false
	}
	for _, d := range leaf.DNSNames {
		if n.is(strings.ToLower(d), strings.ToLower(id), id == "") {
			return true
		}
	}
	return false
}

// is says whether text is a name by n of the node id, or of any.
func (n name) is(text, id string, anyone bool) bool {
	found := n.match.FindStringSubmatch(text)
	return found != nil && (len(found) == 1 || anyone || found[1] == id)
}

// maxNames is how many names of a certificate an error tells.
const maxNames = 4

// namesOf returns the names of leaf, for people.
func namesOf(leaf *x509.Certificate) string {
	var all []string
	for _, u := range leaf.URIs {
		all = append(all, u.String())
	}
	all = append(all, leaf.DNSNames...)
	if len(all) == 0 {
		return fmt.Sprintf("nobody (its subject is %q)", clip(leaf.Subject.CommonName))
	}
	if len(all) > maxNames {
		all = append(all[:maxNames], "and more")
	}
	return clip(strings.Join(all, ", "))
}

// clip returns s, or its beginning if it is long: it came from someone else.
func clip(s string) string {
	const most = 300
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
