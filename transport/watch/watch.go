// Package watch reads files again when they change.
package watch

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// Every is how often files are looked at. A change is read at the second look that finds it, so that a file that somebody
// is still writing is mostly left alone.
const Every = time.Second

// Files are some files that mean something together, such as a certificate and its key. Read and Run must not be called
// at the same time.
type Files struct {
	paths []string                 // that were looked at last
	list  func() ([]string, error) // returns the paths; nil where they stay as they are
	most  int64
	use   func(contents [][]byte) error

	unread  error             // of list, at the last look
	stamps  []os.FileInfo     // as they were before contents were read; nil for what was not there
	stamped []string          // their paths
	tried   [sha256.Size]byte // of the contents that use had last
	result  error             // of use for these
	failed  string            // what was told of the last failure, "" after a success
}

// New returns the files at paths, of at most most bytes each, whose contents go to use, in that order. It reads nothing.
// use owns them; its error says what is wrong with them.
func New(most int64, use func(contents [][]byte) error, paths ...string) *Files {
	return &Files{paths: paths, most: most, use: use, stamps: make([]os.FileInfo, len(paths))}
}

// Read reads the files and hands them to use, whose error it returns.
func (f *Files) Read() error {
	f.stamps = f.look()
	f.stamped = f.paths
	_, err := f.read()
	return err
}

// Run looks at the files until ctx ends, and hands them to use whenever they have changed. It tells what came of it: of a
// change that use had, with its error, and once of files that cannot be read. It returns nil.
//
// Files are known to have changed by their time, their size and which file it is that has the name, as in a
// Kubernetes volume, where names become links to other files.
func (f *Files) Run(ctx context.Context, told func(error)) error {
	ticker := time.NewTicker(Every)
	defer ticker.Stop()
	last := f.stamps
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		before := f.paths
		now := f.look()
		still := slices.Equal(before, f.paths) && same(last, now)
		last = now
		if !still || f.failed == "" && f.unread == nil && slices.Equal(f.paths, f.stamped) && same(now, f.stamps) {
			continue // after a failure it is read each time: who may read a file can change without a trace
		}
		f.stamps, f.stamped = now, f.paths
		f.again(told)
	}
}

// again reads the files and tells what came of it, unless that is as before.
func (f *Files) again(told func(error)) {
	news, err := f.read()
	if err == nil && (news || f.failed != "") {
		f.failed = ""
		told(nil)
	}
	if err != nil && (news || err.Error() != f.failed) {
		f.failed = err.Error()
		told(err)
	}
}

// read reads the files and hands them to use if they are not what it had before: that is news.
func (f *Files) read() (news bool, err error) {
	if f.unread != nil {
		f.tried = [sha256.Size]byte{}
		return false, f.unread
	}
	contents := make([][]byte, len(f.paths))
	sum := sha256.New()
	for i, path := range f.paths {
		if contents[i], err = readFile(path, f.most); err != nil {
			f.tried = [sha256.Size]byte{} // what was there before counts as new when it comes back
			return false, err
		}
		one, name := sha256.Sum256(contents[i]), sha256.Sum256([]byte(path))
		sum.Write(name[:])
		sum.Write(one[:])
	}
	digest := [sha256.Size]byte(sum.Sum(nil))
	if digest == f.tried {
		return false, f.result
	}
	f.tried, f.result = digest, f.use(contents)
	return true, f.result
}

// look returns the stamps of the files, once it knows which they are.
func (f *Files) look() []os.FileInfo {
	if f.list != nil {
		f.paths, f.unread = f.list()
	}
	stamps := make([]os.FileInfo, len(f.paths))
	for i, path := range f.paths {
		if info, err := os.Stat(path); err == nil {
			stamps[i] = info
		}
	}
	return stamps
}

// same says whether files have not changed from a to b.
func same(a, b []os.FileInfo) bool {
	for i := range a {
		if a[i] == nil || b[i] == nil {
			if a[i] != b[i] {
				return false
			}
			continue
		}
		if !os.SameFile(a[i], b[i]) || a[i].Size() != b[i].Size() || !a[i].ModTime().Equal(b[i].ModTime()) {
			return false
		}
	}
	return true
}

// errNoFile is what is wrong with a pipe or a device, which could block or never end.
var errNoFile = errors.New("not a file")

// readFile reads the file at path if it has at most most bytes.
func readFile(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", path, errNoFile)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > most {
		return nil, fmt.Errorf("%s has more than %d bytes", path, most)
	}
	return b, nil
}
