//go:build !unix

package snapshot

import "os"

// lockFile opens the file at path. That one process alone uses the directory is up to whoever starts it: there is no flock here.
func lockFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
}
