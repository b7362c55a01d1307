package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// The names in a directory.
const (
	nameNow  = "buckets"
	nameOld  = "buckets.old"
	nameNew  = "buckets.new"
	nameBad  = "buckets.bad"
	nameLock = "lock"
)

// A Dir is a directory with what one node saves. Its methods are safe for concurrent use.
type Dir struct {
	path        string
	node, label string
	lock        *os.File
	skipped     []error

	mu   sync.Mutex
	from string // the file that counts, "" for none; guarded by mu
	info Info   // of it; guarded by mu
}

// Info is what a file has.
type Info struct {
	Head
	Partitions int // of which something is saved
	Bytes      int64
}

// Open opens the directory at path for a node of a cluster, makes it if there is none, and looks through what was saved there.
// It blocks as long as it takes to read that once. Errors wrap ErrInUse, ErrForeign or ErrVersion, or come from the file system.
// What is torn is no error: see Skipped.
func Open(path, node, label string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	lock, err := lockFile(filepath.Join(path, nameLock))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	d := &Dir{path: path, node: node, label: label, lock: lock}
	if err := d.choose(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return d, nil
}

// choose takes the newest file that is whole.
func (d *Dir) choose() error {
	for _, name := range []string{nameNow, nameOld} {
		path := filepath.Join(d.path, name)
		info, err := verify(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case errors.Is(err, ErrTorn):
			d.skipped = append(d.skipped, fmt.Errorf("%s: %w", path, err))
			if name == nameNow {
				if err := os.Rename(path, filepath.Join(d.path, nameBad)); err != nil {
					return err
				}
			}
			continue
		case err != nil:
			return fmt.Errorf("%s: %w", path, err)
		case info.Node != d.node || info.Label != d.label:
			return fmt.Errorf("%w: %s has what node %q of cluster %q has saved, this is node %q of %q: every node needs a directory of its own",
				ErrForeign, d.path, info.Node, info.Label, d.node, d.label)
		}
		d.from, d.info = path, info
		return nil
	}
	return nil
}

// Path returns where the directory is.
func (d *Dir) Path() string { return d.path }

// Skipped returns what is wrong with files that were skipped by Open, each an error that wraps ErrTorn.
func (d *Dir) Skipped() []error { return d.skipped }

// Info returns what was saved last; the zero Info for nothing.
func (d *Dir) Info() Info {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.info
}

// Read calls do with all parts that were saved last, in order, until it returns an error, and returns that. It returns an error that
// wraps ErrTorn if the file was changed since Open.
func (d *Dir) Read(do func(p Part) error) error {
	d.mu.Lock()
	from := d.from
	d.mu.Unlock()
	if from == "" {
		return nil
	}
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := newReader(f)
	if err != nil {
		return err
	}
	for {
		p, err := r.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = do(p)
		}
		if err != nil {
			return err
		}
	}
}

// Close lets another process use the directory.
func (d *Dir) Close() error { return d.lock.Close() }
