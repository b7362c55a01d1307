//go:build !linux

package chaos

import (
	"context"
	"errors"
	"net"
	"time"
)

// Networks gives every node a network of its own, which only Linux has.
type Networks struct{}

// NewNetworks returns an error: only Linux has network namespaces.
func NewNetworks(context.Context, time.Duration, float64) (*Networks, error) {
	return nil, errNoNetworks
}

var errNoNetworks = errors.New("only Linux gives nodes networks of their own: leave cuts, delay and loss out")

func (*Networks) add(context.Context, string) (string, error) { return "", errNoNetworks }
func (*Networks) inside(string) []string                      { return nil }
func (*Networks) cut(context.Context, string, string) error   { return errNoNetworks }
func (*Networks) heal(context.Context) error                  { return errNoNetworks }

func (*Networks) dial(context.Context, string, string) (net.Conn, error) { return nil, errNoNetworks }

// Close does nothing.
func (*Networks) Close() error { return nil }
