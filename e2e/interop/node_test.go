package interop

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/noriahq/noria/e2e/harness"
)

// hang is how long a program may take that takes some seconds.
const hang = 3 * time.Minute

// An outcome is what one case came to, as sdk.cjs prints it.
type outcome struct {
	Answer   map[string]any
	Error    *failure
	Attempts []attempt
}

// A failure is what the user of an SDK sees of an error.
type failure struct {
	Class, Message, Type, Code, Param string
	Status                            int
}

// An attempt is a request that an SDK sent. Times are milliseconds since its process began.
type attempt struct {
	Sent, Answered float64
	Status         int
	Headers        map[string]string
}

// A node is Node.js with the SDKs.
type node struct {
	program string
	folder  string // has node_modules
}

// findNode returns Node.js with the SDKs that package-lock.json names. It installs these if they are not there, and skips
// the test only where there is no Node.js.
func findNode(t *testing.T) node {
	t.Helper()
	program, err := exec.LookPath("node")
	if err != nil {
		t.Skip("Node.js is not installed: install node and npm to test what users of the SDKs see; CI has them")
	}
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	var lock []byte
	for _, name := range []string{"package.json", "package-lock.json"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		lock = append(lock, text...)
	}
	sum := sha256.Sum256(lock)
	n := node{program: program, folder: filepath.Join(root, ".tools", "sdks-"+hex.EncodeToString(sum[:4]))}
	if _, err := os.Stat(filepath.Join(n.folder, "installed")); err != nil {
		n.install(t)
	}
	return n
}

// install installs the SDKs. A folder that was begun is begun again.
func (n node) install(t *testing.T) {
	t.Helper()
	if err := os.MkdirAll(n.folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"package.json", "package-lock.json"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(n.folder, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("installing the SDKs into %s", n.folder)
	run(t, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", n.folder)
	if err := os.WriteFile(filepath.Join(n.folder, "installed"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

// run runs a program that has to succeed and returns what it prints.
func run(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, stderr.String(), out)
	}
	return out
}

// run runs one case of sdk.cjs as the user with key.
func (n node) run(t *testing.T, url, key, name string) outcome {
	t.Helper()
	out := run(t, n.program, "sdk.cjs", n.folder, url, key, name)
	var o outcome
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&o); err != nil {
		t.Fatalf("%s printed %q: %v", name, out, err)
	}
	return o
}
