package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

// A healthAnswer is what a node says of its health.
type healthAnswer struct {
	Healthy bool   `json:"healthy"`
	Says    string `json:"says"`
}

// newHealth returns the command health.
func newHealth(p *process) *cobra.Command {
	var (
		c    client
		live bool
	)
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask whether a node is ready, for health checks",
		Long: `Asks a node's admin port whether it has joined and serves, and ends with status 0 if so, 1 if not, and 3 if nobody
answers. It is for health checks where there is no curl, as in a container image of Noria. It needs no token, and does not
look at whose certificate the port shows, as it tells nothing and the address is mostly this machine's own.`,
		Example: `  noria health
  noria health --live --admin 127.0.0.1:8092`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			path := "/readyz"
			if live {
				path = "/healthz"
			}
			a, err := c.health(cmd.Context(), path)
			if err != nil {
				return err
			}
			if err := c.out.print(p.stdout, a, func(w io.Writer) { fmt.Fprintln(w, a.Says) }); err != nil {
				return err
			}
			if !a.Healthy {
				return denied()
			}
			return nil
		},
	}
	shared := section{flags: cmd.Flags(), name: "client"}
	shared.toggle("live", "live", "ask whether the process answers at all, joined or not", &live)
	c.addAdmin(shared)
	c.addCommon(shared)
	return cmd
}

// health asks the page at path, with TLS if the port wants it.
func (c *client) health(ctx context.Context, path string) (healthAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	a, status, err := c.healthBy(ctx, "http", path)
	if err == nil && status == http.StatusBadRequest && strings.Contains(a.Says, "HTTPS") {
		a, status, err = c.healthBy(ctx, "https", path)
	}
	switch {
	case err != nil:
		return a, err
	case status != http.StatusOK && status != http.StatusServiceUnavailable:
		return a, &exit{status: statusUnreachable, err: fmt.Errorf("what listens at %s is not a node's admin port: %d %s", c.admin, status, http.StatusText(status))}
	}
	a.Healthy = status == http.StatusOK
	return a, nil
}

// maxHealth is the most bytes of an answer that are read.
const maxHealth = 4 << 10

// healthBy asks by one scheme.
func (c *client) healthBy(ctx context.Context, scheme, path string) (a healthAnswer, status int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+c.admin+path, nil)
	if err != nil {
		return a, 0, usagef("--admin is %q: %w", c.admin, err)
	}
	client := &http.Client{Transport: &http.Transport{
		Proxy: nil, DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // nothing is told, as with the probes of Kubernetes
	}}
	res, err := client.Do(r)
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return a, 0, unreachable(c.admin, err)
		}
		return a, 0, &exit{status: statusUnreachable, err: fmt.Errorf("node at %s: %w", c.admin, errors.Unwrap(err))}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxHealth))
	if err != nil {
		return a, 0, &exit{status: statusUnreachable, err: fmt.Errorf("node at %s: %w", c.admin, err)}
	}
	a.Says = strings.TrimSpace(string(body))
	return a, res.StatusCode, nil
}
