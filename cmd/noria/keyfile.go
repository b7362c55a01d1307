package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/noriahq/noria/cluster/gossip"
	"github.com/noriahq/noria/transport/watch"
)

// A keyFile is the file of the keys of a node's gossip. What changes in one of the two changes in the other: the file by
// commands to the node, the keys in use by the file.
type keyFile struct {
	path string
	ring *gossip.Keyring
	log  *slog.Logger
}

// openKeyFile reads the keys in the file at path.
func openKeyFile(path string, log *slog.Logger) (*keyFile, error) {
	f := &keyFile{path: path, log: log}
	keys, err := f.load()
	if err != nil {
		return nil, err
	}
	if f.ring, err = gossip.NewKeyring(keys, f.save); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// load reads the file.
func (f *keyFile) load() ([][]byte, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, gossip.MaxKeyFile+1))
	if err != nil {
		return nil, err
	}
	keys, err := gossip.ParseKeys(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.path, err)
	}
	return keys, nil
}

// save makes keys those of the file, whole or not at all: a node that dies meanwhile finds the old ones or the new.
func (f *keyFile) save(keys [][]byte) error { return replaceFile(f.path, gossip.FormatKeys(keys)) }

// replaceFile makes b all that the file at path has, at once, and keeps who may read it: at most its owner where it is new.
func replaceFile(path string, b []byte) (err error) {
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return err
	}
	mode := os.FileMode(0o600)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = temporary.Write(b)
	err = errors.Join(err, temporary.Chmod(mode), temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// run goes by the file whenever it changes, until ctx ends.
func (f *keyFile) run(ctx context.Context) error {
	changed := false
	use := func([][]byte) (err error) { // it is read again: meanwhile a command may have changed it
		changed, err = f.ring.Reload(f.load)
		return err
	}
	return watch.New(gossip.MaxKeyFile, use, f.path).Run(ctx, func(err error) {
		switch {
		case err != nil:
			f.log.Error("changed gossip keys refused, the old ones stay", "err", err)
		case changed:
			f.log.Info("changed gossip keys read")
		}
	})
}
