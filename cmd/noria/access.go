package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/noriahq/noria/transport/bearer"
	"github.com/noriahq/noria/transport/certs"
)

// access is how a command shows a node who asks, and knows the node. The zero value is for nodes that want neither TLS nor
// tokens.
type access struct {
	secure    string // folder of config init
	tls       bool
	ca        string
	cert, key string
	name      string
	tokens    string
}

// addAccess defines the flags of a.
func addAccess(s section, a *access) {
	s.add("secure", "secure", "`DIR` that \"noria config init --tls\" made: its CA and its admin's token are used", of(&a.secure, "folder", "", text))
	s.toggle("tls", "tls", "speak TLS with a node whose certificate is signed by a CA that this machine trusts", &a.tls)
	s.path("tls-ca", "tls_ca", "`FILE` with the certificates of CAs that sign nodes' certificates, PEM; TLS is spoken then", &a.ca)
	s.path("tls-cert", "tls_cert", "`FILE` with the certificate to show to nodes that want one, PEM", &a.cert)
	s.path("tls-key", "tls_key", "`FILE` with the private key of --tls-cert, PEM", &a.key)
	s.add("tls-name", "tls_name", "`NAME` that the node's certificate is for, where it differs from the address", of(&a.name, "name", "", text))
	s.path("token-file", "token_file", "`FILE` whose first token is shown: a line of a name and a token", &a.tokens)
}

// files returns a with the files of its folder.
func (a access) files() access {
	if a.secure == "" {
		return a
	}
	if a.ca == "" {
		a.ca = filepath.Join(a.secure, fileCA)
	}
	if a.tokens == "" {
		a.tokens = filepath.Join(a.secure, fileAdminTokens)
	}
	return a
}

// config returns the configuration of TLS, nil without.
func (a access) config() (*tls.Config, error) {
	a = a.files()
	if err := both("--tls-cert", a.cert, "--tls-key", a.key); err != nil {
		return nil, err
	}
	if !a.tls && a.ca == "" && a.cert == "" {
		return nil, nil //nolint:nilnil // it is what the doc says
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: a.name}
	if a.ca != "" {
		b, err := readSmall(a.ca)
		if err != nil {
			return nil, usagef("--tls-ca: %w", err)
		}
		if c.RootCAs, err = certs.Pool(b); err != nil {
			return nil, usagef("--tls-ca: %s: %w", a.ca, err)
		}
	}
	if a.cert != "" {
		pair, err := tls.LoadX509KeyPair(a.cert, a.key)
		if err != nil {
			return nil, usagef("--tls-cert, --tls-key: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// token returns the token to show, "" for none.
func (a access) token() (string, error) {
	a = a.files()
	if a.tokens == "" {
		return "", nil
	}
	b, err := readSmall(a.tokens)
	if err != nil {
		return "", usagef("--token-file: %w", err)
	}
	all, err := bearer.Parse(b)
	if err != nil {
		return "", usagef("--token-file: %s: %w", a.tokens, err)
	}
	for _, t := range all {
		if t.Secret != "" {
			return t.Secret, nil
		}
	}
	return "", usagef("--token-file: %s has the SHA-256 of tokens alone, want a token", a.tokens)
}

// dialOptions returns what a gRPC connection needs to show and to know.
func (a access) dialOptions() ([]grpc.DialOption, error) {
	config, err := a.config()
	if err != nil {
		return nil, err
	}
	token, err := a.token()
	if err != nil {
		return nil, err
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	if config != nil {
		options[0] = grpc.WithTransportCredentials(credentials.NewTLS(config))
	}
	if token != "" {
		options = append(options, grpc.WithPerRPCCredentials(bearer.Credentials{Token: token, Plain: config == nil}))
	}
	return options, nil
}

// web returns what HTTP requests of a command go by: base, which it owns, with TLS and the token; and the scheme of URLs.
func (a access) web(base *http.Transport) (*http.Client, string, error) {
	config, err := a.config()
	if err != nil {
		return nil, "", err
	}
	token, err := a.token()
	if err != nil {
		return nil, "", err
	}
	scheme := "http"
	if config != nil {
		scheme, base.TLSClientConfig = "https", config
	}
	return &http.Client{Transport: &showing{base, token}}, scheme, nil
}

// showing shows a token with every request.
type showing struct {
	http.RoundTripper
	token string
}

// RoundTrip implements http.RoundTripper.
func (s *showing) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.token == "" {
		return s.RoundTripper.RoundTrip(r)
	}
	with := r.Clone(r.Context())
	with.Header.Set("Authorization", "Bearer "+s.token)
	return s.RoundTripper.RoundTrip(with)
}

// readSmall reads a file of certificates, keys or tokens.
func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	const most = 1 << 20
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && len(b) > most {
		err = fmt.Errorf("%s has more than %d bytes", path, most)
	}
	return b, err
}
