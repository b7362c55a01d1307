package discover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// mostText is the most bytes of a file of addresses: 1,000 lines with the longest names.
const mostText = 300 << 10

// file returns what the lines of a file name. A file that has a wrong line is as good as none: who wrote it meant
// something else.
func (f *Finder) file(ctx context.Context, path string) ([]string, error) {
	sources, err := readFile(path)
	if err != nil {
		return nil, err
	}
	var (
		addrs []string
		wrong sourceErrors
	)
	for _, s := range sources {
		found, err := f.from(ctx, s)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", s, err))
		}
		addrs = union(addrs, found)
	}
	return addrs, wrong.asError()
}

// readFile returns the sources in a file, which cannot be files themselves.
func readFile(path string) ([]Source, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, pathless(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, mostText+1))
	if err != nil {
		return nil, pathless(err)
	}
	if len(b) > mostText {
		return nil, fmt.Errorf("more than %d bytes", mostText)
	}
	var sources []Source
	number := 0
	for line := range strings.Lines(string(b)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		s, err := Parse(line)
		if err == nil && s.kind == file {
			err = fmt.Errorf("%w: %q, want an address or a name, as one file does not lead to another", ErrSource, line)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if len(sources) == Most {
			return nil, fmt.Errorf("line %d: more than %d addresses", number, Most)
		}
		sources = append(sources, s)
	}
	return sources, nil
}

// pathless returns err without the path, which the source has.
func pathless(err error) error {
	var e *os.PathError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
