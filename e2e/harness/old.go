package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Commit returns the full hash of a commit, "" where the checkout does not have it, or is none.
func Commit(name string) string {
	out, err := git("rev-parse", "--verify", "--quiet", name+"^{commit}")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(out)
}

// Previous returns the newest commit, of HEAD and its first parents, that makes another binary than the working tree: its Go files
// that are no tests differ, or its modules. "" where the checkout has no such history.
func Previous() string {
	out, err := git("log", "--first-parent", "--format=%H", "-n", "50")
	if err != nil {
		return ""
	}
	for hash := range strings.FieldsSeq(out) {
		_, err := git("diff", "--quiet", hash, "--", "*.go", "go.mod", ":!*_test.go", ":!e2e")
		if code := new(exec.ExitError); errors.As(err, &code) && code.ExitCode() == 1 {
			return hash
		}
	}
	return ""
}

func git(args ...string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	cmd := exec.Command("git", args...)
	cmd.Dir = root
	out, err := cmd.Output()
	return string(out), err
}

// BuildCommit returns the path of the binary of a commit, with its full hash. It is kept in the user's cache for the next time. It is
// never built with the race detector: who looks for races looks at what is new.
func BuildCommit(t testing.TB, hash string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = t.TempDir()
	}
	binary := filepath.Join(cache, "noria-e2e", "noria-"+hash)
	if _, err := os.Stat(binary); err == nil {
		return binary
	}
	if err := buildCommit(t.TempDir(), hash, binary); err != nil {
		t.Fatalf("build commit %s: %v", hash, err)
	}
	return binary
}

// buildCommit unpacks a commit into dir and builds it into binary.
func buildCommit(dir, hash, binary string) error {
	files, err := git("archive", "--format=tar", hash)
	if err != nil {
		return err
	}
	unpack := exec.Command("tar", "-x", "-C", dir)
	unpack.Stdin = strings.NewReader(files)
	if out, err := unpack.CombinedOutput(); err != nil {
		return fmt.Errorf("tar: %w\n%s", err, out)
	}
	if err := os.MkdirAll(filepath.Dir(binary), 0o755); err != nil {
		return err
	}
	made := filepath.Join(dir, "noria.made")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", made, "./cmd/noria")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	b, err := os.ReadFile(made)
	if err != nil {
		return err
	}
	half := fmt.Sprintf("%s.%d", binary, os.Getpid()) // two tests may build it at once
	if err := os.WriteFile(half, b, 0o755); err != nil {
		return err
	}
	return os.Rename(half, binary)
}
