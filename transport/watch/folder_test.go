package watch_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/transport/watch"
)

// Files that come, change and go are used once each time, with their names; a folder that cannot be read changes nothing.
func TestFolder(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "rules")
		var (
			mu   sync.Mutex
			seen []string
		)
		note := func(format string, args ...any) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, fmt.Sprintf(format, args...))
		}
		files := watch.NewFolder(16, func(paths []string, contents [][]byte) error {
			var all []string
			for i, path := range paths {
				all = append(all, filepath.Base(path)+"="+string(contents[i]))
			}
			note("use %s", strings.Join(all, " "))
			if strings.Contains(fmt.Sprint(all), "bad") {
				return errors.New("bad")
			}
			return nil
		}, dir, ".yaml", ".yml")
		if err := files.Read(); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("Read of a folder that is not there returns %v", err)
		}
		write := func(name, text string) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		write("a.yaml", "1")
		write(".hidden.yaml", "x")
		write("readme.md", "x")
		if err := errors.Join(os.Mkdir(filepath.Join(dir, "sub.yaml"), 0o700), files.Read()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- files.Run(ctx, func(err error) { note("told %v", err != nil) }) }()
		defer func() { cancel(); <-ended }()
		time.Sleep(watch.Every / 2)
		expect := func(when string, want ...string) {
			t.Helper()
			time.Sleep(3 * watch.Every)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if diff := cmp.Diff(want, seen); diff != "" {
				t.Errorf("%s (-want +got):\n%s", when, diff)
			}
			seen = nil
		}
		expect("at first", "use a.yaml=1")
		write("b.yml", "2")
		expect("one comes", "use a.yaml=1 b.yml=2", "told false")
		expect("nothing happens")
		if err := os.Rename(filepath.Join(dir, "b.yml"), filepath.Join(dir, "c.yml")); err != nil {
			t.Fatal(err)
		}
		expect("one has another name", "use a.yaml=1 c.yml=2", "told false")
		write("c.yml", "bad")
		expect("a bad one", "use a.yaml=1 c.yml=bad", "told true")
		os.Remove(filepath.Join(dir, "c.yml"))
		expect("it goes", "use a.yaml=1", "told false")
		if err := os.Rename(dir, dir+"2"); err != nil {
			t.Fatal(err)
		}
		expect("the folder is gone", "told true")
		if err := os.Rename(dir+"2", dir); err != nil {
			t.Fatal(err)
		}
		expect("it is back", "use a.yaml=1", "told false")
		os.Remove(filepath.Join(dir, "a.yaml"))
		expect("all are gone", "use ", "told false")
	})
}
