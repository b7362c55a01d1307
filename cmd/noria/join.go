package main

import (
	"context"
	"strings"

	"github.com/noriahq/noria/cluster/discover"
)

// seed reads what --join takes: an address, or where addresses are found.
func seed(s string) (string, error) {
	if !strings.Contains(s, "://") {
		return remote(s)
	}
	source, err := discover.Parse(s)
	return source.String(), err
}

// seeds returns the addresses of --join, and what finds those that are not fixed, nil if all are.
func (s *settings) seeds() (fixed []string, find func(context.Context) ([]string, error)) {
	var others []discover.Source
	for _, text := range s.join {
		source, err := discover.Parse(text)
		if addr, ok := source.Fixed(); ok || err != nil {
			fixed = append(fixed, addr) // seed has read it, so there is no error
			continue
		}
		others = append(others, source)
	}
	if len(others) == 0 {
		return fixed, nil
	}
	return fixed, discover.New(s.dns, others...).Find
}
