package discover

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// A Source says where addresses of nodes are. Its zero value names nobody; Parse makes others.
type Source struct {
	kind kind
	name string // a host, a service or a path
	port string // of hosts and of a fixed address
}

// A kind is how a source is read.
type kind byte

// The kinds of sources.
const (
	fixed    kind = iota // an address
	hosts                // the A and AAAA records of a name
	services             // the SRV records of a name
	file                 // lines of a file
)

// The schemes of sources that are not fixed addresses.
const (
	hostsScheme    = "dns://"
	servicesScheme = "srv://"
	fileScheme     = "file://"
)

// ErrSource is wrapped by the errors of Parse, which say what would be right.
var ErrSource = errors.New("not where nodes can be found")

// Parse reads a source:
//
//	HOST:PORT              one node
//	dns://NAME:PORT        all addresses that NAME has, A and AAAA records, each with PORT
//	srv://NAME             all hosts and ports that the SRV records of NAME have, such as srv://_gossip._tcp.noria.example
//	file://PATH            the lines of a file, each one of the above; empty lines and those that begin with # do not count
//
// An absolute PATH has three slashes in a row, file:///etc/noria/nodes.
func Parse(s string) (Source, error) {
	switch {
	case strings.HasPrefix(s, hostsScheme):
		host, port, err := hostPort(s[len(hostsScheme):])
		if err != nil {
			return Source{}, fmt.Errorf("%w: %q, want %sNAME:PORT: %w", ErrSource, s, hostsScheme, err)
		}
		return Source{hosts, host, port}, nil
	case strings.HasPrefix(s, servicesScheme):
		name := s[len(servicesScheme):]
		if name == "" || strings.ContainsAny(name, ":/ \t\r\n") {
			return Source{}, fmt.Errorf("%w: %q, want %s_SERVICE._PROTOCOL.NAME, such as srv://_gossip._tcp.noria.example; its records have the port", ErrSource, s, servicesScheme)
		}
		return Source{kind: services, name: name}, nil
	case strings.HasPrefix(s, fileScheme):
		path := s[len(fileScheme):]
		if path == "" {
			return Source{}, fmt.Errorf("%w: %q, want %sPATH, such as file:///etc/noria/nodes", ErrSource, s, fileScheme)
		}
		return Source{kind: file, name: path}, nil
	}
	if scheme, _, ok := strings.Cut(s, "://"); ok {
		return Source{}, fmt.Errorf("%w: %q begins with %s://, want dns://, srv://, file:// or HOST:PORT alone", ErrSource, s, scheme)
	}
	host, port, err := hostPort(s)
	if err != nil {
		return Source{}, fmt.Errorf("%w: %q, want HOST:PORT: %w", ErrSource, s, err)
	}
	return Source{fixed, host, port}, nil
}

// String returns s as Parse reads it.
func (s Source) String() string {
	switch s.kind {
	case hosts:
		return hostsScheme + net.JoinHostPort(s.name, s.port)
	case services:
		return servicesScheme + s.name
	case file:
		return fileScheme + s.name
	default:
		return net.JoinHostPort(s.name, s.port)
	}
}

// Fixed returns the address of a source that is one, which need not be looked for.
func (s Source) Fixed() (addr string, ok bool) {
	return net.JoinHostPort(s.name, s.port), s.kind == fixed
}

// hostPort splits s, of which it wants both.
func hostPort(s string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(s)
	if err != nil {
		return "", "", errors.New("there is no port")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", "", fmt.Errorf("port %q is not from 1 to 65535", port)
	}
	if host == "" || strings.ContainsAny(host, "/ \t\r\n") {
		return "", "", fmt.Errorf("%q is no host", host)
	}
	return host, port, nil
}
