package policy

import (
	"cmp"
	"fmt"
	"net"
	"path"
	"slices"
	"strings"
)

// A table finds routes: by host, then by path, then by method.
type table struct {
	hosts  map[string][]*Route // by the host itself
	below  map[string][]*Route // by what is behind *.
	others []*Route            // for all hosts
}

// add adds r, unless another one is for the same requests.
func (t *table) add(r *Route) error {
	if t.hosts == nil {
		t.hosts, t.below = map[string][]*Route{}, map[string][]*Route{}
	}
	for _, h := range r.Hosts {
		in, name := t.hosts, h
		if rest, ok := strings.CutPrefix(h, "*."); ok {
			in, name = t.below, rest
		}
		if err := clash(in[name], r, " of "+h); err != nil {
			return err
		}
		in[name] = append(in[name], r)
	}
	if len(r.Hosts) > 0 {
		return nil
	}
	err := clash(t.others, r, "")
	t.others = append(t.others, r)
	return err
}

// clash says whether one of those in list would get the same requests as r.
func clash(list []*Route, r *Route, where string) error {
	for _, o := range list {
		both := func(m string) bool { return slices.Contains(o.Methods, m) }
		if o.Path != r.Path || (len(o.Methods) == 0) != (len(r.Methods) == 0) {
			continue
		}
		if o == r {
			return fmt.Errorf("routes.%s.hosts has %s twice, want it once", r.Name, strings.TrimPrefix(where, " of "))
		}
		if len(r.Methods) == 0 || slices.ContainsFunc(r.Methods, both) {
			return fmt.Errorf("routes.%s and routes.%s are for the same requests: those to %s%s", o.Name, r.Name, r.Path, where)
		}
	}
	return nil
}

// sort brings routes into the order in which they are tried: long paths first, and those for some methods before those for all.
func (t *table) sort() {
	order := func(a, b *Route) int {
		return cmp.Or(cmp.Compare(len(b.Path), len(a.Path)), cmp.Compare(min(len(b.Methods), 1), min(len(a.Methods), 1)))
	}
	for _, in := range []map[string][]*Route{t.hosts, t.below} {
		for _, list := range in {
			slices.SortStableFunc(list, order)
		}
	}
	slices.SortStableFunc(t.others, order)
}

// find returns the route of a request, nil for none.
func (t *table) find(host, method, path string) *Route {
	host, path = plainHost(host), plainPath(path)
	if r := first(t.hosts[host], method, path); r != nil {
		return r
	}
	for rest := host; len(t.below) > 0; {
		_, after, ok := strings.Cut(rest, ".")
		if !ok {
			break
		}
		rest = after
		if r := first(t.below[rest], method, path); r != nil {
			return r
		}
	}
	return first(t.others, method, path)
}

// first returns the first route in list that is for the method and the path, which is plain.
func first(list []*Route, method, path string) *Route {
	for _, r := range list {
		if isBelow(path, r.Path) && (len(r.Methods) == 0 || slices.Contains(r.Methods, method)) {
			return r
		}
	}
	return nil
}

// isBelow says whether path is prefix or below it.
func isBelow(path, prefix string) bool {
	if prefix == "/" {
		return true
	}
	return strings.HasPrefix(path, prefix) && (len(path) == len(prefix) || path[len(prefix)] == '/')
}

// plainHost returns a request's host in small letters, without port and without the dot at its end. It allocates only for
// hosts with capitals.
func plainHost(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		} else if inner := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"); len(inner) == len(host)-2 {
			host = inner
		}
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// plainPath returns a request's path without . and .. and empty parts, so that /v1//chat and /a/../v1/chat are what most
// upstreams take them for. It allocates only for paths that have some.
func plainPath(p string) string {
	if !strings.HasPrefix(p, "/") {
		return "/" // of OPTIONS * and of CONNECT
	}
	return path.Clean(p)
}
