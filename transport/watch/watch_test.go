package watch_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noriahq/noria/cluster/clustertest/bubble"
	"github.com/noriahq/noria/transport/watch"
)

// A rig is two files that are watched, and what came of it.
type rig struct {
	a, b    string
	files   *watch.Files
	written int

	mu   sync.Mutex
	used []string // guarded by mu: what the files said, with | between
	told []string // guarded by mu: what went wrong, "" for what went well
}

// newRig returns a rig whose files say a and b. What has "bad" in it is bad.
func newRig(t *testing.T, a, b string) *rig {
	t.Helper()
	dir := t.TempDir()
	r := &rig{a: filepath.Join(dir, "a"), b: filepath.Join(dir, "b")}
	r.files = watch.New(16, func(contents [][]byte) error {
		text := string(contents[0]) + "|" + string(contents[1])
		r.mu.Lock()
		defer r.mu.Unlock()
		r.used = append(r.used, text)
		if strings.Contains(text, "bad") {
			return errors.New("bad")
		}
		return nil
	}, r.a, r.b)
	r.write(t, r.a, a)
	r.write(t, r.b, b)
	return r
}

// write writes text to path, with a time of its own.
func (r *rig) write(t *testing.T, path, text string) {
	t.Helper()
	r.written++
	at := time.Date(2026, 1, 1, 0, r.written, 0, 0, time.UTC)
	if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chtimes(path, at, at)); err != nil {
		t.Fatal(err)
	}
}

// run watches until the test ends. What the test writes falls between two looks.
func (r *rig) run(t *testing.T) {
	t.Helper()
	if err := r.files.Read(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- r.files.Run(ctx, func(err error) {
			text := ""
			if err != nil {
				text = filepath.Base(err.Error())
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			r.told = append(r.told, text)
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run returns %v", err)
		}
	})
	time.Sleep(watch.Every / 2)
}

// expect waits and checks what was used and told since it was asked last. The bubble is idle then.
func (r *rig) expect(t *testing.T, when string, used, told []string) {
	t.Helper()
	time.Sleep(3 * watch.Every)
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if diff := cmp.Diff(used, r.used); diff != "" {
		t.Errorf("%s: used (-want +got):\n%s", when, diff)
	}
	if diff := cmp.Diff(told, r.told); diff != "" {
		t.Errorf("%s: told (-want +got):\n%s", when, diff)
	}
	r.used, r.told = nil, nil
}

// What changes is used once, and told once.
func TestChanges(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := newRig(t, "1", "2")
		r.run(t)
		r.expect(t, "at first", []string{"1|2"}, nil)
		r.expect(t, "nothing happens", nil, nil)
		r.write(t, r.a, "3")
		r.expect(t, "one changes", []string{"3|2"}, []string{""})
		r.write(t, r.a, "3")
		r.expect(t, "touched", nil, nil)
		r.write(t, r.a, "4")
		r.write(t, r.b, "5")
		r.expect(t, "both change", []string{"4|5"}, []string{""})
		r.write(t, r.a, "bad")
		r.expect(t, "a bad one", []string{"bad|5"}, []string{"bad"})
		r.write(t, r.b, "6")
		r.expect(t, "still bad", []string{"bad|6"}, []string{"bad"})
		r.write(t, r.a, "4")
		r.expect(t, "good again", []string{"4|6"}, []string{""})
		r.write(t, r.a, strings.Repeat("x", 17))
		r.expect(t, "too long", nil, []string{"a has more than 16 bytes"})
		r.write(t, r.a, "")
		r.expect(t, "empty", []string{"|6"}, []string{""})
	})
}

// A file that is gone is told once, and read when it is back, be it as it was.
func TestGone(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := newRig(t, "1", "2")
		r.run(t)
		r.expect(t, "at first", []string{"1|2"}, nil)
		if err := os.Remove(r.b); err != nil {
			t.Fatal(err)
		}
		r.expect(t, "gone", nil, []string{"b: no such file or directory"})
		r.expect(t, "still gone", nil, nil)
		r.write(t, r.b, "2")
		r.expect(t, "back", []string{"1|2"}, []string{""})
		if err := errors.Join(os.Remove(r.a), os.Mkdir(r.a, 0o700)); err != nil {
			t.Fatal(err)
		}
		r.expect(t, "a folder", nil, []string{"a: not a file"})
	})
}

// A file that is being written is left alone until it stands still for a moment.
func TestStillWritten(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := newRig(t, "", "")
		r.run(t)
		r.expect(t, "at first", []string{"|"}, nil)
		for n := range 10 {
			r.write(t, r.a, strings.Repeat("x", n+1))
			time.Sleep(watch.Every)
		}
		r.expect(t, "written", []string{"xxxxxxxxxx|"}, []string{""})
	})
}

// A name that becomes a link to another file, as Kubernetes changes a volume, is a change, also with the same time and size.
func TestLinks(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := newRig(t, "1", "2")
		dir := t.TempDir()
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		for _, name := range []string{"v1", "v2"} {
			path := filepath.Join(dir, name)
			if err := errors.Join(os.WriteFile(path, []byte(name), 0o600), os.Chtimes(path, at, at)); err != nil {
				t.Fatal(err)
			}
		}
		link := func(to string) {
			temporary := filepath.Join(dir, "link")
			if err := errors.Join(os.Symlink(filepath.Join(dir, to), temporary), os.Rename(temporary, r.a)); err != nil {
				t.Fatal(err)
			}
		}
		link("v1")
		r.run(t)
		r.expect(t, "at first", []string{"v1|2"}, nil)
		link("v2")
		r.expect(t, "linked", []string{"v2|2"}, []string{""})
	})
}

// Read tells what is wrong with the files, or with what they say.
func TestRead(t *testing.T) {
	r := newRig(t, "bad", "2")
	if err := r.files.Read(); err == nil || err.Error() != "bad" {
		t.Errorf("Read of a bad file returns %v", err)
	}
	if err := os.Remove(r.b); err != nil {
		t.Fatal(err)
	}
	if err := r.files.Read(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Read of a file that is not there returns %v", err)
	}
	if !slices.Equal(r.used, []string{"bad|2"}) {
		t.Errorf("used are %q", r.used)
	}
}
