// Package harness runs fleets of real noria processes for tests: it builds the binary, starts nodes on free loopback ports,
// waits until they agree, asks them, and kills, freezes, stops and restarts them.
//
// Waiting is by events: a node's log lines, the end of a process, a node's status. Every wait has a bound that only a
// hang reaches. Processes end with the test, also when it fails or panics, and on Linux with the test's process; only
// those that the harness started are ever signalled. Where a test fails, the logs of its nodes are in e2e/artifacts.
//
// It needs a Unix.
package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// BinaryEnv names the environment variable with the path of the noria binary that fleets run. Main sets it, unless it is
// set already: so that a released binary can be tested.
const BinaryEnv = "E2E_NORIA"

// RaceEnv names the environment variable that, where not empty, has the binary built with the race detector.
const RaceEnv = "E2E_RACE"

// Hang is how long the harness waits for anything before it calls the wait a hang and fails the test. Nothing that works
// comes near it, on however slow a machine.
const Hang = time.Minute

// Main runs the tests of m with a binary that is built once for all of them, and returns the exit status. It is for
// TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
func Main(m *testing.M) int {
	if os.Getenv(BinaryEnv) != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "noria-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary, err := build(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := os.Setenv(BinaryEnv, binary); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// Build returns the path of the noria binary: the one that Main built or BinaryEnv names, else one that it builds for this
// test alone.
func Build(t testing.TB) string {
	t.Helper()
	if binary := os.Getenv(BinaryEnv); binary != "" {
		return binary
	}
	binary, err := build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// build builds the binary into dir and returns its path.
func build(dir string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "noria")
	args := []string{"build", "-buildvcs=false", "-o", binary}
	if os.Getenv(RaceEnv) != "" {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "./cmd/noria")...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/noria: %w\n%s", err, out)
	}
	return binary, nil
}

// Root returns the folder of the repository: the nearest one above the working directory whose go.mod stands beside a
// folder cmd/noria.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "cmd", "noria")); err == nil {
			if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
				return at, nil
			}
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("%s is not inside the repository: no go.mod with cmd/noria above it", dir)
		}
	}
}
