package auth

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// The headers in which a proxy says where a request came from, as http.Header spells them.
const (
	forwardedFor = "X-Forwarded-For"
	realIP       = "X-Real-Ip"
)

// errAsked is wrapped by errors about headers that say what was asked for.
var errAsked = errors.New("bad sub-request")

// asked is what the proxy was asked for.
type asked struct {
	method, host, path string
	client             netip.Addr
}

// read returns what was asked for, as the proxy that sent r says if it is believed. The error wraps errAsked.
func (rs *rules) read(r *http.Request) (a asked, err error) {
	a = asked{method: r.Method, host: r.Host, path: "/", client: rs.callers.ClientIP(r)}
	if !rs.callers.Trusts(r) {
		return a, nil
	}
	if a.method, err = said(r.Header, a.method, "X-Forwarded-Method", "X-Original-Method"); err != nil {
		return a, err
	}
	if a.host, err = said(r.Header, a.host, "X-Forwarded-Host"); err != nil {
		return a, err
	}
	target, err := said(r.Header, a.path, "X-Forwarded-Uri", "X-Original-Uri")
	if err != nil {
		return a, err
	}
	if a.path, err = pathOf(target); err != nil {
		return a, err
	}
	a.client, err = rs.client(r, a.client)
	return a, err
}

// client returns the address of the client of r, which a believed proxy sent. forwarded is the one by X-Forwarded-For.
func (rs *rules) client(r *http.Request, forwarded netip.Addr) (netip.Addr, error) {
	if len(r.Header[forwardedFor]) > 0 {
		return forwarded, nil
	}
	one, err := said(r.Header, "", realIP)
	if err != nil || one == "" {
		return forwarded, err
	}
	alone := http.Request{RemoteAddr: r.RemoteAddr, Header: http.Header{forwardedFor: {one}}}
	return rs.callers.ClientIP(&alone), nil
}

// said returns what the one of names that is in h says, or other. Two that differ are an error, and so is one with several
// lines: one of them was made up by the client.
func said(h http.Header, other string, names ...string) (string, error) {
	from := ""
	for _, name := range names {
		switch lines := h[name]; {
		case len(lines) == 0:
		case len(lines) > 1:
			return "", fmt.Errorf("%w: %s is there %d times, want it once: the proxy has to replace the client's", errAsked, name, len(lines))
		case from != "" && lines[0] != other:
			return "", fmt.Errorf("%w: %s and %s differ, want one of them: the proxy has to remove the one that it does not set", errAsked, from, name)
		default:
			from, other = name, lines[0]
		}
	}
	return other, nil
}

// pathOf returns the path, decoded, of a request's target, which is a path with a query or a whole URL.
func pathOf(target string) (string, error) {
	if target == "*" {
		return "/", nil // of OPTIONS
	}
	if strings.HasPrefix(target, "//") {
		target = "/" + strings.TrimLeft(target, "/") // no host begins here
	}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return "", fmt.Errorf("%w: the request's URI cannot be read, want a path such as /index.html", errAsked)
	}
	if u.Path == "" {
		return "/", nil
	}
	return u.Path, nil
}
