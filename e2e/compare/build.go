package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// moduleDir returns where a module lies.
func moduleDir(ctx context.Context, path string) (string, error) {
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", path)
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return "", fmt.Errorf("go list -m %s: %w", path, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// goBuild builds a package, as seen from the folder dir, into the file binary.
func goBuild(ctx context.Context, dir, binary, pkg string) error {
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", binary, pkg)
	build.Dir = dir
	build.Env = append(os.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s in %s: %w\n%s", pkg, dir, err, out)
	}
	return nil
}

// buildNoria builds the binary into dir and returns its path.
func buildNoria(ctx context.Context, dir string) (string, error) {
	root, err := moduleDir(ctx, "github.com/noriahq/noria")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "noria")
	return binary, goBuild(ctx, root, binary, "./cmd/noria")
}

// buildGubernator builds the daemon of the module beside this one into dir and returns its path.
func buildGubernator(ctx context.Context, dir string) (string, error) {
	here, err := moduleDir(ctx, "github.com/noriahq/noria/e2e/compare")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "gubernator")
	return binary, goBuild(ctx, filepath.Join(here, "gubernator"), binary, ".")
}

// freeAddrs returns n addresses of this machine where nobody listens.
func freeAddrs(n int) ([]string, error) {
	var addrs []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all of them at the end, so that none is given twice
		addrs = append(addrs, l.Addr().String())
	}
	return addrs, nil
}
