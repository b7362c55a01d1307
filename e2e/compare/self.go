package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
)

// The tool runs itself once more for what has to be a process of its own.

// hidden runs the hidden command that args call for, and says whether there is one.
func hidden(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) (err error, is bool) {
	switch {
	case len(args) == 1 && args[0] == bareCommand:
		return serveBare(stdin, stdout), true
	case len(args) == 2 && args[0] == envoyCommand:
		return serveEnvoy(args[1], stdin, stdout), true
	case len(args) > 0 && args[0] == nodeCommand:
		return serveNode(ctx, args[1:], stdin, stdout), true
	case len(args) == 1 && args[0] == lookoutCommand:
		return serveLookout(stdin, stdout, os.Stderr), true
	case len(args) > 0 && args[0] == fullCommand:
		return serveFull(ctx, args[1:], stdout), true
	}
	return nil, false
}

// A serving is the line with which a hidden command says where it serves.
type serving struct {
	Serving string `json:"serving"`
}

// sayServing says on stdout that addr is served.
func sayServing(stdout io.Writer, addr net.Addr) error {
	return json.NewEncoder(stdout).Encode(serving{addr.String()})
}

// startSelf runs a hidden command and returns where it serves.
func startSelf(ctx context.Context, args ...string) (*process, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	p, err := start(self, args...)
	if err != nil {
		return nil, "", err
	}
	line, err := p.find(ctx, `{"serving":`)
	var s serving
	if err == nil {
		err = json.Unmarshal([]byte(line), &s)
	}
	if err != nil {
		p.kill()
		return nil, "", fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return p, s.Serving, nil
}
