package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxFiles is the most files of a folder.
const maxFiles = 1000

// NewFolder returns the files in the folder dir whose names end with one of the suffixes, in the order of their names,
// as they come and go. Each has at most most bytes. use has their paths and contents, and may have none of them. Files whose
// names begin with a dot are left out, as Kubernetes' own in its volumes.
func NewFolder(most int64, use func(paths []string, contents [][]byte) error, dir string, suffixes ...string) *Files {
	f := &Files{most: most, list: func() ([]string, error) { return list(dir, suffixes) }}
	f.use = func(contents [][]byte) error { return use(f.paths, contents) }
	return f
}

// list returns the paths of the files in dir that NewFolder is for.
func list(dir string, suffixes []string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		suited := func(suffix string) bool { return strings.HasSuffix(e.Name(), suffix) }
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || !slices.ContainsFunc(suffixes, suited) {
			continue
		}
		paths = append(paths, filepath.Join(dir, e.Name()))
	}
	if len(paths) > maxFiles {
		return nil, fmt.Errorf("%s has %d files, want at most %d", dir, len(paths), maxFiles)
	}
	return paths, nil
}
