package main

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/noriahq/noria/bucket/policy/strict"
	"github.com/noriahq/noria/cluster"
)

// A value is a flag's value of any type, read by parse. Its errors say what would be right: "want a whole number".
type value[T any] struct {
	to    *T
	parse func(string) (T, error)
	text  string // as it was set, "" before
	kind  string // what the help calls it
}

// String implements pflag.Value.
func (v *value[T]) String() string { return v.text }

// Type implements pflag.Value.
func (v *value[T]) Type() string { return v.kind }

// Set implements pflag.Value.
func (v *value[T]) Set(s string) error {
	parsed, err := v.parse(s)
	if err != nil {
		return err
	}
	*v.to, v.text = parsed, s
	return nil
}

// of returns a value that parse reads into to. If byDefault is not empty it is read first.
func of[T any](to *T, kind, byDefault string, parse func(string) (T, error)) *value[T] {
	v := &value[T]{to: to, parse: parse, kind: kind, text: byDefault}
	if byDefault != "" {
		if parsed, err := parse(byDefault); err == nil { // a test sets every default again
			*to = parsed
		}
	}
	return v
}

// A list is a flag's value of several strings, given by several flags or with commas between.
type list struct {
	to    *[]string
	parse func(string) (string, error)
	set   bool // what Set is given next comes in addition
	kind  string
}

// String implements pflag.Value.
func (l *list) String() string { return strings.Join(*l.to, ",") }

// Type implements pflag.Value.
func (l *list) Type() string { return l.kind }

// Set implements pflag.Value.
func (l *list) Set(s string) error {
	if !l.set {
		*l.to, l.set = nil, true
	}
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		one, err := l.parse(part)
		if err != nil {
			return err
		}
		*l.to = append(*l.to, one)
	}
	return nil
}

// listOf returns a list that parse reads into to, which has byDefault before it is set.
func listOf(to *[]string, byDefault, kind string, parse func(string) (string, error)) *list {
	*to = strings.Split(byDefault, ",")
	return &list{to: to, parse: parse, kind: kind}
}

// text takes any string but an empty one.
func text(s string) (string, error) { return strict.Text(s) }

// whole returns the reader of whole numbers from least to most.
func whole(least, most int) func(string) (int, error) { return strict.Whole(least, most) }

// duration returns the reader of durations from least to most.
func duration(least, most time.Duration) func(string) (time.Duration, error) {
	return strict.Duration(least, most)
}

// yesNo reads true or false.
func yesNo(s string) (bool, error) { return strict.YesNo(s) }

// choice returns the reader of one of the words known.
func choice(known ...string) func(string) (string, error) { return strict.Choice(known...) }

// role reads what a node does for its cluster.
func role(s string) (cluster.Role, error) {
	word, err := choice(string(cluster.RoleHolder), string(cluster.RoleGateway))(s)
	return cluster.Role(word), err
}

// address reads a host and port to listen on. Without a host it is this machine alone: to be reached from others is a
// decision, written 0.0.0.0 or [::].
func address(s string) (string, error) {
	host, port, err := hostPort(s)
	if err != nil {
		return "", err
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// remote reads a host and port to connect to.
func remote(s string) (string, error) {
	host, port, err := hostPort(s)
	if err != nil {
		return "", err
	}
	if port == "0" {
		return "", errors.New("want HOST:PORT with a port from 1 to 65535")
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// advertised reads the host and port that others are told, where the port may be left out.
func advertised(s string) (string, error) {
	if _, err := netip.ParseAddr(s); err == nil {
		s = net.JoinHostPort(s, "0") // as Kubernetes tells a pod its own
	} else if !strings.Contains(s, ":") {
		s += ":0"
	}
	host, port, err := hostPort(s)
	if err != nil || host == "" {
		return "", errors.New("want HOST or HOST:PORT by which other nodes reach this one")
	}
	return net.JoinHostPort(host, port), nil
}

// hostPort splits s, whose host may be empty.
func hostPort(s string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(s)
	if err != nil {
		return "", "", errors.New("want HOST:PORT, such as 127.0.0.1:8083")
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return "", "", errors.New("want HOST:PORT with a port from 0 to 65535")
	}
	if strings.ContainsAny(host, " \t\r\n/") {
		return "", "", errors.New("want HOST:PORT, such as 127.0.0.1:8083")
	}
	return host, port, nil
}
