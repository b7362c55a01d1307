package harness

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// shown is how many lines of a log go into the output of a failed test.
const shown = 40

// keep puts the whole log into e2e/artifacts and its last lines into the output of the test.
func keep(t testing.TB, name string, log *Log) {
	t.Helper()
	lines := log.Lines()
	tail := lines[max(0, len(lines)-shown):]
	root, err := Root()
	if err != nil {
		t.Logf("%s: last %d of %d lines:\n%s", name, len(tail), len(lines), strings.Join(tail, "\n"))
		return
	}
	path := filepath.Join(root, "e2e", "artifacts", fileName(t.Name()), fileName(name)+".log")
	if err := write(path, strings.Join(lines, "\n")+"\n"); err != nil {
		t.Log(err)
	}
	t.Logf("%s: last %d of %d lines, all in %s:\n%s", name, len(tail), len(lines), path, strings.Join(tail, "\n"))
}

// write writes text to path and makes the folders above it.
func write(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// fileName returns s as the name of a file.
func fileName(s string) string {
	return regexp.MustCompile(`[^A-Za-z0-9._-]+`).ReplaceAllString(s, "_")
}
