package policy

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// chosen is Policy.Route by a plain model: of all routes that are for the request the one with the greatest claim.
func chosen(routes []*Route, host, method, p string) *Route {
	if p = path.Clean("/" + p); p == "" {
		p = "/"
	}
	var best *Route
	most := ""
	for _, r := range routes {
		claims := "" // how good the host is
		if len(r.Hosts) == 0 {
			claims = "0/000"
		}
		for _, h := range r.Hosts {
			if h == host {
				claims = "2/000"
			} else if below, ok := strings.CutPrefix(h, "*"); ok && strings.HasSuffix(host, below) && len(host) > len(below) {
				claims = max(claims, fmt.Sprintf("1/%03d", len(below)))
			}
		}
		under := r.Path == "/" || p == r.Path || strings.HasPrefix(p, r.Path+"/")
		named := " " + strings.Join(r.Methods, " ") + " "
		if claims == "" || !under || len(r.Methods) > 0 && !strings.Contains(named, " "+method+" ") {
			continue
		}
		claims += fmt.Sprintf("/%03d/%d", len(r.Path), min(len(r.Methods), 1))
		if claims > most {
			best, most = r, claims
		}
	}
	return best
}

// The route that a request takes is the one that a plain model chooses, however its host and path are written.
func TestRouteAgainstModel(t *testing.T) {
	host := rapid.SampledFrom([]string{"a", "a.b", "c.a.b", "d.c.a.b", "b", "x"})
	pattern := rapid.OneOf(host, rapid.Map(host, func(h string) string { return "*." + h }))
	place := rapid.SampledFrom([]string{"/", "/v1", "/v1/chat", "/v1/c", "/v", "/x/y/z"})
	methods := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"GET", "POST", "PUT"}), 0, 2, rapid.ID)
	routes := rapid.Custom(func(t *rapid.T) *Route {
		return &Route{Hosts: rapid.SliceOfNDistinct(pattern, 0, 3, rapid.ID).Draw(t, "hosts"), Path: place.Draw(t, "path"), Methods: methods.Draw(t, "methods")}
	})
	rapid.Check(t, func(t *rapid.T) {
		p := &Policy{}
		for range rapid.IntRange(0, 12).Draw(t, "routes") {
			r := routes.Draw(t, "route")
			var trial table // two routes for the same requests are refused, and not what this is about
			clash := false
			for _, have := range append(p.Routes[:len(p.Routes):len(p.Routes)], r) {
				clash = clash || trial.add(have) != nil
			}
			if !clash {
				p.Routes = append(p.Routes, r)
			}
		}
		for _, r := range p.Routes {
			if err := p.table.add(r); err != nil {
				t.Fatal(err)
			}
		}
		p.table.sort()
		for range 10 {
			h, m := host.Draw(t, "host"), rapid.SampledFrom([]string{"GET", "POST", "PATCH"}).Draw(t, "method")
			at := place.Draw(t, "at") + rapid.SampledFrom([]string{"", "/", "/q", "q", "//q", "/../q", "/./"}).Draw(t, "rest")
			written := rapid.SampledFrom([]string{h, h + ".", h + ":8080", strings.ToUpper(h)}).Draw(t, "written")
			if got, want := p.Route(written, m, at), chosen(p.Routes, h, m, at); got != want {
				t.Fatalf("Route(%q, %s, %q) is %+v, want %+v", written, m, at, got, want)
			}
		}
	})
}

// The order of routes in the file does not matter.
func TestOrderOfRoutes(t *testing.T) {
	lines := []string{"all: {}", "long: {path: /v1/chat}", "short: {path: /v1}", "put: {path: /v1, methods: [PUT]}", "host: {hosts: [a.b]}", "below: {hosts: ['*.b']}"}
	for i := range lines {
		p := parsed(t, "routes:\n  "+strings.Join(slices.Concat(lines[i:], lines[:i]), "\n  "), nil)
		for request, want := range map[[3]string]string{
			{"x", "GET", "/"}: "all", {"x", "GET", "/v1/chat/x"}: "long", {"x", "PUT", "/v1/chat"}: "long", {"x", "GET", "/v1/x"}: "short",
			{"x", "PUT", "/v1"}: "put", {"a.b", "PUT", "/v1"}: "host", {"c.b", "PUT", "/v1"}: "below", {"b", "PUT", "/v1/x"}: "put",
		} {
			if got := p.Route(request[0], request[1], request[2]); got == nil || got.Name != want {
				t.Errorf("%q takes %+v, want %s", request, got, want)
			}
		}
	}
}

// Hosts and paths are compared as upstreams take them.
func TestPlain(t *testing.T) {
	for host, want := range map[string]string{
		"": "", "A.b": "a.b", "a.b.:80": "a.b", "a:80": "a", "[::1]:80": "::1", "[::1]": "::1", "::1": "::1", "a:b:c": "a:b:c", ":80": "",
	} {
		if got := plainHost(host); got != want {
			t.Errorf("plainHost(%q) is %q, want %q", host, got, want)
		}
	}
	for path, want := range map[string]string{
		"": "/", "*": "/", "/": "/", "/a/": "/a", "//a": "/a", "/a/../../b": "/b", "/a/./b": "/a/b", "a/b": "/",
	} {
		if got := plainPath(path); got != want {
			t.Errorf("plainPath(%q) is %q, want %q", path, got, want)
		}
	}
}

// A model has its own weights, those of the longest name with * that it begins with, or the default ones.
func TestWeigh(t *testing.T) {
	p := parsed(t, `
routes:
  r:
    kind: openai
    llm:
      weights:
        gpt-4: {input: 2}
        gpt-4*: {input: 3, output: 0.5}
        gpt-*: {input: 4}
        default: {input: 5, cached: 0}
  s: {kind: anthropic, path: /s}
`, nil)
	for model, want := range map[string]Weights{
		"gpt-4": {2000, 1000, 2000}, "gpt-4o": {3000, 500, 3000}, "gpt-5": {4000, 1000, 4000}, "claude": {5000, 1000, 0}, "": {5000, 1000, 0},
		"gpt-4*": {3000, 500, 3000},
	} {
		if got := p.Routes[0].LLM.Weigh(model); got != want {
			t.Errorf("%s weighs %+v, want %+v", model, got, want)
		}
	}
	if got := p.Routes[1].LLM.Weigh("x"); got != (Weights{1000, 1000, 1000}) {
		t.Errorf("without weights a model weighs %+v", got)
	}
}

// Weights are exact thousandths.
func TestWeight(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "1": 1000, "0.1": 100, "1.25": 1250, "999.999": 999_999, "007": 7000} {
		if got, err := weight(text); err != nil || got != want {
			t.Errorf("weight(%q) is %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", ".5", "1.", "-1", "+1", "1e3", "1000", "0.0001", "1,5", "1.-1", "1.+1", "x"} {
		if got, err := weight(text); err == nil {
			t.Errorf("weight(%q) is %d, want an error", text, got)
		}
	}
}
