// Package certs has the TLS certificates of servers and of nodes among each other, read again when their files change.
package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/noriahq/noria/transport/watch"
)

// ErrConfig is wrapped by errors about a Config, and about the files that it names.
var ErrConfig = errors.New("bad TLS configuration")

// Config is what a Pair is made of. CertFile and KeyFile are required.
type Config struct {
	// CertFile is the path of a certificate, and behind it those of who signed it, in PEM.
	CertFile string

	// KeyFile is the path of the certificate's private key, in PEM.
	KeyFile string

	// Now tells the time, by which certificates end. Default: time.Now.
	Now func() time.Time

	// Logger is told of certificates that were read again, or were not. Default: nowhere.
	Logger *slog.Logger
}

// A Pair is a certificate with its key, as the files last had a good one. New makes one. It is safe for concurrent use.
type Pair struct {
	now     func() time.Time
	logger  *slog.Logger
	files   *watch.Files
	current atomic.Pointer[tls.Certificate]
}

// New reads the files of c. Errors wrap ErrConfig. A certificate that has ended is good enough to start with: those who
// ask learn it from their clients, and the log says so.
func New(c Config) (*Pair, error) {
	if c.CertFile == "" || c.KeyFile == "" {
		return nil, fmt.Errorf("%w: a certificate needs both its file and that of its key", ErrConfig)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	const most = 1 << 20
	p := &Pair{now: c.Now, logger: c.Logger}
	p.files = watch.New(most, func(contents [][]byte) error {
		if err := p.use(contents[0], contents[1]); err != nil {
			return fmt.Errorf("%s, %s: %w", c.CertFile, c.KeyFile, err)
		}
		return nil
	}, c.CertFile, c.KeyFile)
	if err := p.files.Read(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if ends := p.Ends(); p.now().After(ends) {
		p.logger.Error("certificate has ended", "ended", ends)
	}
	return p, nil
}

// Run reads the files again when they change, until ctx ends. Bad ones leave the old certificate in use, and the log says
// so: a certificate without its key, or one that has ended in place of one that has not. It returns nil.
func (p *Pair) Run(ctx context.Context) error {
	return p.files.Run(ctx, func(err error) {
		if err != nil {
			p.logger.Error("changed certificate refused, the old one stays", "err", err)
			return
		}
		p.logger.Info("changed certificate read", "ends", p.Ends())
	})
}

// Config returns the configuration of a server that shows whatever the files have at the time of each handshake: TLS 1.2
// and 1.3, HTTP/2 and HTTP/1.1. Connections that are there keep what they were shown. The caller owns it.
func (p *Pair) Config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.current.Load(), nil },
	}
}

// Ends returns until when the certificate in use is good.
func (p *Pair) Ends() time.Time { return p.current.Load().Leaf.NotAfter }

// use shows the certificate cert with key from now on.
func (p *Pair) use(cert, key []byte) error {
	pair, err := keyPair(cert, key)
	if err != nil {
		return err
	}
	if old := p.current.Load(); old != nil {
		now, begins, ends := p.now(), pair.Leaf.NotBefore, pair.Leaf.NotAfter
		if now.After(ends) && !now.After(old.Leaf.NotAfter) {
			return fmt.Errorf("ended at %v", ends)
		}
		if now.Before(begins) && !now.After(old.Leaf.NotAfter) {
			return fmt.Errorf("begins at %v", begins)
		}
	}
	p.current.Store(&pair)
	return nil
}

// keyPair returns the certificate cert with key, and its Leaf.
func keyPair(cert, key []byte) (tls.Certificate, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err == nil && pair.Leaf == nil { // GODEBUG=x509keypairleaf=0 leaves it out
		pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0])
	}
	return pair, err
}
