package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/bucket/policy"
	"github.com/noriahq/noria/bucket/policy/strict"
	"github.com/noriahq/noria/transport/certs"
	"github.com/noriahq/noria/transport/gateway"
	"github.com/noriahq/noria/transport/shed"
)

// front is the simplest reverse proxy of a node: one upstream, and one limit for each client. More takes a policy.
type front struct {
	upstream *url.URL // nil for none
	limit    bucket.Limit
	key      string
}

// addFront defines the flags of f.
func addFront(in section, f *front) {
	in.add("upstream", "upstream", "`URL` to which the gateway forwards what it admits, where no policy has routes", of(&f.upstream, "url", "", strict.URL))
	in.add("limit", "limit", "`LIMIT` of --upstream for each client", of(&f.limit, "limit", "100/s burst 200", bucket.ParseLimit))
	in.add("key", "key", "`KEY` that tells the clients of --upstream apart: client.ip or header.NAME", of(&f.key, "key", "client.ip", clientKey))
}

// clientKey reads what tells clients apart.
func clientKey(s string) (string, error) {
	name, ok := strings.CutPrefix(s, "header.")
	switch {
	case s == "client.ip":
	case !ok:
		return "", errors.New("want client.ip or header.NAME such as header.X-Api-Key")
	case !httpguts.ValidHeaderFieldName(name):
		return "", errors.New("want a header's name such as header.X-Api-Key")
	case strings.EqualFold(name, "Host"):
		return "", errors.New("want a header that says who sends a request: Host says where it goes")
	}
	return s, nil
}

// policy returns f as a policy.
func (f front) policy() (*policy.Policy, error) {
	return policy.Parse("--upstream", fmt.Appendf(nil, `
limits:
  client: {key: [%q], limit: %q}
routes:
  all: {path: /, upstreams: [%q], limits: [client]}
`, f.key, f.limit, f.upstream), nil)
}

// policyOf returns the policy that a node with the settings s goes by, nil for none.
func policyOf(s settings) (*policy.Policy, error) {
	if s.front.upstream == nil {
		return s.policy, nil
	}
	if s.policy != nil && len(s.policy.Routes) > 0 {
		return nil, usagef("--upstream is %s and the policy has routes: want one of them", s.front.upstream.Redacted())
	}
	p, err := s.front.policy()
	if err != nil {
		return nil, usagef("--upstream: %w", err)
	}
	return p, nil
}

// hashOf returns the hash of p, 0 for none.
func hashOf(p *policy.Policy) uint64 {
	if p == nil {
		return 0
	}
	return p.Hash
}

// proxies says whether p has something to forward.
func proxies(p *policy.Policy) bool {
	return p != nil && len(p.Routes) > 0 && len(p.Routes[0].Upstreams) > 0
}

// openGateway returns the reverse proxy of p and what it answers at.
func (s *server) openGateway(l gateway.Limiter, p *policy.Policy) (door, error) {
	g, err := gateway.New(gateway.Config{Policy: p, Limiter: l, Wrap: s.traces.Upstream, Logger: s.log})
	if err != nil {
		return door{}, err
	}
	s.gateway = g
	server := gateway.NewServer(shed.Handler(s.intake.gate, gatewayKind, s.watched("gateway", g)), s.log)
	server.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: s.settings.bounds.streams}
	if s.settings.tls.cert != "" {
		pair, err := certs.New(certs.Config{CertFile: s.settings.tls.cert, KeyFile: s.settings.tls.key, Logger: s.log})
		if err != nil {
			return door{}, err
		}
		s.pair = pair
		server.TLSConfig = pair.Config()
	}
	return httpDoor(server), nil
}

// tlsFiles are the certificate of the gateway.
type tlsFiles struct{ cert, key string }

// addTLS defines the flags of t.
func addTLS(in section, t *tlsFiles) {
	in.path("tls-cert", "tls_cert", "`FILE` with the certificates of the gateway, PEM; it speaks TLS then, and reads the file again when it changes", &t.cert)
	in.path("tls-key", "tls_key", "`FILE` with the private key of --tls-cert, PEM", &t.key)
}

// check says what is wrong with t.
func (t tlsFiles) check() error {
	if (t.cert == "") != (t.key == "") {
		return usagef("want both --tls-cert and --tls-key, or none")
	}
	return nil
}
