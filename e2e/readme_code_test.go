package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/noriahq/noria/e2e/harness"
)

// The Go that the README shows is part of an example that runs.
func TestREADMECode(t *testing.T) {
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile(filepath.Join(root, "transport", "peer", "example_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) == 0 {
		t.Fatal("README.md shows no Go")
	}
	for _, b := range blocks {
		if !strings.Contains(flush(string(example)), flush(b[1])) {
			t.Errorf("README.md shows Go that is not in transport/peer/example_test.go:\n%s", b[1])
		}
	}
}

// flush returns text without the space at the start of its lines.
func flush(text string) string { return regexp.MustCompile(`(?m)^[ \t]+`).ReplaceAllString(text, "") }
