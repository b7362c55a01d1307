package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/noriahq/noria/transport/watch"
)

// Roots are those who sign clients' certificates, as a file last had good ones. It is safe for concurrent use.
type Roots struct {
	logger  *slog.Logger
	files   *watch.Files
	current atomic.Pointer[x509.CertPool]
}

// NewRoots reads the certificates in the file at path, in PEM. Errors wrap ErrConfig. A nil logger logs nowhere.
func NewRoots(path string, logger *slog.Logger) (*Roots, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	r := &Roots{logger: logger}
	const most = 1 << 20
	r.files = watch.New(most, func(contents [][]byte) error {
		pool, err := Pool(contents[0])
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		r.current.Store(pool)
		return nil
	}, path)
	if err := r.files.Read(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return r, nil
}

// Run reads the file again when it changes, until ctx ends. A bad one changes nothing, and the log says so. It returns nil.
func (r *Roots) Run(ctx context.Context) error {
	return r.files.Run(ctx, func(err error) {
		if err != nil {
			r.logger.Error("changed CAs of clients refused, the old ones stay", "err", err)
			return
		}
		r.logger.Info("changed CAs of clients read")
	})
}

// Ask makes a server with the configuration c ask clients for a certificate that one of r has signed: those who have none
// are sent away if required, and else not certified. What the file has at the time of each handshake counts. A nil r asks
// nobody.
func (r *Roots) Ask(c *tls.Config, required bool) {
	if r == nil {
		return
	}
	c.ClientAuth = tls.VerifyClientCertIfGiven
	if required {
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	base := c.Clone()
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		now := base.Clone()
		now.ClientCAs = r.current.Load()
		now.SessionTicketsDisabled = true // who came back would not be looked at again
		return now, nil
	}
}
