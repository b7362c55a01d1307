package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/noriahq/noria/transport/watch"
)

// ErrName is wrapped by errors about certificates that are good, and somebody else's.
var ErrName = errors.New("certificate of another")

// MeshConfig is what a Mesh is made of. The files are required.
type MeshConfig struct {
	// CAFile is the path of the certificates of those who sign nodes' certificates, in PEM. Several let one replace another.
	CAFile string

	// CertFile and KeyFile are the paths of this node's certificate, and behind it those of who signed it, and of its private
	// key, in PEM. The certificate is good for clients and servers both.
	CertFile, KeyFile string

	// Names say how a certificate names a node: patterns as CheckName has them. A certificate has a name by one of them, or
	// it is not for a node of this cluster. Default: DefaultNames.
	Names []string

	// Label is the cluster's label, and Self the name of this node.
	Label, Self string

	// Now tells the time, by which certificates begin and end. Default: time.Now.
	Now func() time.Time

	// Logger is told of files that were read again, or were not. Default: nowhere.
	Logger *slog.Logger
}

// A Mesh is how the nodes of a cluster know each other: each shows a certificate that names it, and both ends look at the
// other's. NewMesh makes one. It is safe for concurrent use.
type Mesh struct {
	config  MeshConfig
	names   []name
	files   *watch.Files
	current atomic.Pointer[trust]
}

// trust is what the files said, all together.
type trust struct {
	pair  tls.Certificate
	roots *x509.CertPool
}

// NewMesh reads the files of c. Errors wrap ErrConfig: also where the node's own certificate would be refused by others
// with the same files, because no other would speak to it.
func NewMesh(c MeshConfig) (*Mesh, error) {
	if c.CAFile == "" || c.CertFile == "" || c.KeyFile == "" {
		return nil, fmt.Errorf("%w: want the files of CAs, a certificate and its key", ErrConfig)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if len(c.Names) == 0 {
		c.Names = []string{DefaultNames}
	}
	m := &Mesh{config: c}
	for _, pattern := range c.Names {
		n, err := compile(pattern, c.Label)
		if err != nil {
			return nil, fmt.Errorf("%w: name %q: %w", ErrConfig, clip(pattern), err)
		}
		m.names = append(m.names, n)
	}
	const most = 1 << 20
	m.files = watch.New(most, func(contents [][]byte) error { return m.use(contents[0], contents[1], contents[2]) }, c.CAFile, c.CertFile, c.KeyFile)
	if err := m.files.Read(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return m, nil
}

// Run reads the files again when they change, until ctx ends. Files with which this node would be refused leave the old
// ones in use, and the log says so. It returns nil.
func (m *Mesh) Run(ctx context.Context) error {
	return m.files.Run(ctx, func(err error) {
		if err != nil {
			m.config.Logger.Error("changed certificates of nodes refused, the old ones stay", "err", err)
			return
		}
		m.config.Logger.Info("changed certificates of nodes read", "ends", m.Ends())
	})
}

// Ends returns until when the node's own certificate is good.
func (m *Mesh) Ends() time.Time { return m.current.Load().pair.Leaf.NotAfter }

// use goes by the files from now on, if this node's certificate is good by them.
func (m *Mesh) use(ca, cert, key []byte) error {
	c := m.config
	roots, err := Pool(ca)
	if err != nil {
		return fmt.Errorf("%s: %w", c.CAFile, err)
	}
	pair, err := keyPair(cert, key)
	if err != nil {
		return fmt.Errorf("%s, %s: %w", c.CertFile, c.KeyFile, err)
	}
	chain, err := parseChain(pair)
	if err != nil {
		return fmt.Errorf("%s: %w", c.CertFile, err)
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if err := verify(chain, roots, usage, c.Now()); err != nil {
			return fmt.Errorf("%s with %s: other nodes would refuse it: %w", c.CertFile, c.CAFile, err)
		}
	}
	if err := m.is(chain[0], c.Self); err != nil {
		return fmt.Errorf("%s: other nodes would refuse it: %w", c.CertFile, err)
	}
	m.current.Store(&trust{pair, roots})
	return nil
}

// Pool returns the certificates of CAs in b, in PEM. There is at least one.
func Pool(b []byte) (*x509.CertPool, error) {
	pool, n := x509.NewCertPool(), 0
	for rest := bytes.TrimSpace(b); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errors.New("not PEM")
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("has a %s, want certificates alone", clip(block.Type))
		}
		ca, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		pool.AddCert(ca)
		n++
	}
	if n == 0 {
		return nil, errors.New("no certificate in it")
	}
	return pool, nil
}

// parseChain returns the certificates of pair, its own first.
func parseChain(pair tls.Certificate) ([]*x509.Certificate, error) {
	chain := []*x509.Certificate{pair.Leaf}
	for _, der := range pair.Certificate[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		chain = append(chain, c)
	}
	return chain, nil
}

// verify says why the first of chain is not signed by roots for usage now.
func verify(chain []*x509.Certificate, roots *x509.CertPool, usage x509.ExtKeyUsage, now time.Time) error {
	if len(chain) == 0 {
		return errors.New("no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}

// Server returns the configuration of a node that others connect to: TLS 1.3, with a client certificate that one of the
// CAs has signed. Whose it is says Is. Each handshake goes by what the files have then; none is resumed. The caller owns it.
func (m *Mesh) Server() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		ClientAuth: tls.RequireAndVerifyClientCert, // with no CA until there is a handshake
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			now := m.current.Load()
			return &tls.Config{
				MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}, Time: m.config.Now, SessionTicketsDisabled: true,
				Certificates: []tls.Certificate{now.pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: now.roots,
			}, nil
		},
	}
}

// Client returns the configuration of a node that connects to others: TLS 1.3, with a certificate that one of the CAs has
// signed for a node of this cluster. Which node it is says Is: by which address it was reached does not count. The caller
// owns it.
func (m *Mesh) Client() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection does it, without a host's name
		VerifyConnection: func(s tls.ConnectionState) error {
			if err := verify(s.PeerCertificates, m.current.Load().roots, x509.ExtKeyUsageServerAuth, m.config.Now()); err != nil {
				return err
			}
			return m.is(s.PeerCertificates[0], "")
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &m.current.Load().pair, nil },
	}
}

// Is says why the other end of a connection, of which s is known, is not the node of that name, or, with "", not a node of
// this cluster at all. Errors wrap ErrName.
func (m *Mesh) Is(s tls.ConnectionState, node string) error {
	if len(s.PeerCertificates) == 0 {
		return fmt.Errorf("%w: there is none", ErrName)
	}
	return m.is(s.PeerCertificates[0], node)
}

// is says why leaf is not the certificate of the node, or of any node of this cluster.
func (m *Mesh) is(leaf *x509.Certificate, node string) error {
	patterns := make([]string, len(m.names))
	for i, n := range m.names {
		if n.find(leaf, node) {
			return nil
		}
		patterns[i] = strings.ReplaceAll(n.pattern, "{label}", m.config.Label)
	}
	wanted := strings.Join(patterns, " or ")
	if node != "" {
		wanted = strings.ReplaceAll(wanted, "{name}", node)
	}
	return fmt.Errorf("%w: it is for %s, want %s", ErrName, namesOf(leaf), wanted)
}
