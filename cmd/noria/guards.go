package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/noriahq/noria/transport/certs"
)

// guards are who may reach a node's ports, and how. All but insecure are files, or say what to look for in them: a secret is
// never on a command line, which others can read.
type guards struct {
	insecure bool
	peer     meshFiles
	keyring  string // file of the keys of gossip, "" for none
	api      portFiles
	admin    portFiles
}

// meshFiles are what nodes show each other.
type meshFiles struct {
	ca, cert, key string
	names         []string
}

// portFiles are what a port shows to those who come, and wants from them.
type portFiles struct {
	cert, key, clientCA, tokens string
}

// addGuards defines the flags of g. in returns the section of a name.
func addGuards(in func(name string) section, g *guards) {
	in("node").toggle("insecure", "insecure", "let other machines reach ports that have neither TLS nor tokens nor encrypted gossip", &g.insecure)

	peer := in("peer")
	peer.path("peer-ca", "ca", "`FILE` with the certificates of those who sign nodes' certificates, PEM; nodes speak TLS 1.3 to each other then, and both sides show a certificate", &g.peer.ca)
	peer.path("peer-cert", "cert", "`FILE` with the certificate that this node shows to others, PEM; all files are read again when they change", &g.peer.cert)
	peer.path("peer-key", "key", "`FILE` with the private key of --peer-cert, PEM", &g.peer.key)
	peer.add("peer-names", "names", "`NAME`s of which a node's certificate has one: a URI or a DNS name, with {label} for --label, {name} for --name and * for any part; several with commas or repeated",
		listOf(&g.peer.names, certs.DefaultNames, "names", certs.CheckName))
	in("gossip").path("gossip-keyring", "keyring", "`FILE` with the keys that encrypt gossip, one a line, in base64, of 16, 24 or 32 bytes; the first is used, all are understood; \"noria keys\" changes it", &g.keyring)

	api := in("api")
	api.path("api-tls-cert", "tls_cert", "`FILE` with the certificates of --api and --grpc, PEM, which speak TLS then; read again when it changes", &g.api.cert)
	api.path("api-tls-key", "tls_key", "`FILE` with the private key of --api-tls-cert, PEM", &g.api.key)
	api.path("api-client-ca", "client_ca", "`FILE` with the certificates of those who sign clients' certificates, PEM; callers of --api and --grpc then show one, or a token if there are some", &g.api.clientCA)
	api.path("api-token-file", "token_file", "`FILE` of tokens, of which callers of --api and --grpc show one: lines of a name and a token; read again when it changes", &g.api.tokens)
	admin := in("admin")
	admin.path("admin-tls-cert", "tls_cert", "`FILE` with the certificates of --admin, PEM, which speaks TLS then; read again when it changes", &g.admin.cert)
	admin.path("admin-tls-key", "tls_key", "`FILE` with the private key of --admin-tls-cert, PEM", &g.admin.key)
	admin.path("admin-token-file", "token_file", "`FILE` of tokens of those who look after the fleet, lines of a name and a token; where other machines reach --admin all but /healthz and /readyz needs one", &g.admin.tokens)
}

// check says what is missing in g where a node listens at p.
func (g guards) check(p ports) error {
	wrong := []error{
		both("--peer-cert", g.peer.cert, "--peer-key", g.peer.key),
		both("--peer-ca", g.peer.ca, "--peer-cert", g.peer.cert),
		both("--api-tls-cert", g.api.cert, "--api-tls-key", g.api.key),
		both("--admin-tls-cert", g.admin.cert, "--admin-tls-key", g.admin.key),
	}
	if g.api.clientCA != "" && g.api.cert == "" {
		wrong = append(wrong, usagef("--api-client-ca wants --api-tls-cert and --api-tls-key: callers show a certificate by TLS alone"))
	}
	if err := errors.Join(wrong...); err != nil || g.insecure {
		return err
	}
	return g.exposed(p.beyond())
}

// both says that one of two flags is missing.
func both(a, fileA, b, fileB string) error {
	switch {
	case fileA != "" && fileB == "":
		return usagef("%s wants %s too", a, b)
	case fileA == "" && fileB != "":
		return usagef("%s wants %s too", b, a)
	}
	return nil
}

// exposed says what of a node other machines could reach without being asked who they are, where open are the addresses
// that they reach. The gateway is for clients, whoever they are.
func (g guards) exposed(open ports) error {
	var lines []string
	need := func(bad bool, name, addr, want string) {
		if bad && addr != "" {
			lines = append(lines, fmt.Sprintf("  --%s is %s: %s", name, addr, want))
		}
	}
	need(g.peer.ca == "", "peer", open.peer, "want --peer-ca, --peer-cert and --peer-key, so that only this fleet's nodes speak to it")
	need(g.keyring == "", "gossip", open.gossip, "want --gossip-keyring, so that only who has the key can join or listen")
	openAPI := g.api.cert == "" && g.api.tokens == ""
	need(openAPI, "api", open.api, "want --api-tls-cert and --api-tls-key, or --api-token-file, or both")
	need(openAPI, "grpc", open.grpc, "want --api-tls-cert and --api-tls-key, or --api-token-file, or both")
	need(g.admin.tokens == "", "admin", open.admin, "want --admin-token-file; --admin-tls-cert and --admin-tls-key keep the token from listeners")
	if len(lines) == 0 {
		return nil
	}
	return usagef("other machines could reach this node unasked:\n%s\n"+
		"\"noria config init --tls\" makes all of these files; addresses of 127.0.0.1 need none; --insecure starts it as it is", strings.Join(lines, "\n"))
}
