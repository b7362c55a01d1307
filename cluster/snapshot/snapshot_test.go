package snapshot

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the files in testdata")

func opened(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := Open(path, "a", "noria")
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// part is a Part whose bytes stay.
type part struct {
	Partition int
	Saved     int64
	Message   string
}

func parts(t *testing.T, d *Dir) (all []part) {
	t.Helper()
	err := d.Read(func(p Part) error {
		all = append(all, part{p.Partition, p.Saved.UnixNano(), string(p.Message)})
		return nil
	})
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	return all
}

func write(t *testing.T, d *Dir, h Head, all ...part) Info {
	t.Helper()
	info, err := d.Write(h, func(w *Writer) error {
		for _, p := range all {
			if err := w.Add(p.Partition, time.Unix(0, p.Saved), []byte(p.Message)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("Write: %v", err)
	}
	return info
}

// What is written is read back, by this process and by the next one.
func TestWriteRead(t *testing.T) {
	path := t.TempDir()
	d := opened(t, path)
	if got := parts(t, d); got != nil || d.Info() != (Info{}) {
		t.Errorf("a new directory has %v, %+v", got, d.Info())
	}
	all := []part{{1, 100, "x"}, {1, 101, "y"}, {7, -5, strings.Repeat("z", 70_000)}, {16383, 1 << 60, ""}}
	info := write(t, d, Head{Ring: "r", Boot: 7, Written: time.Unix(5, 6), Members: 3}, all...)
	if info.Partitions != 3 || info.Node != "a" || info.Label != "noria" || info.Members != 3 || info.Boot != 7 {
		t.Errorf("Write returns %+v", info)
	}
	if diff := cmp.Diff(parts(t, d), all); diff != "" {
		t.Errorf("read back (-got +want):\n%s", diff)
	}
	_ = d.Close()
	again := opened(t, path)
	if diff := cmp.Diff(parts(t, again), all); diff != "" {
		t.Errorf("read by the next run (-got +want):\n%s", diff)
	}
	got := again.Info()
	got.Written, info.Written = time.Time{}, time.Time{} // with another zone
	if got != info {
		t.Errorf("the next run reads %+v, want %+v", got, info)
	}
}

// Keep takes over what was saved of a partition before, with its time, and nothing else.
func TestKeep(t *testing.T) {
	d := opened(t, t.TempDir())
	write(t, d, Head{}, part{1, 10, "a"}, part{2, 20, "b"}, part{2, 21, "c"}, part{5, 50, "d"}, part{6, 60, "e"})
	_, err := d.Write(Head{}, func(w *Writer) error {
		return errors.Join(w.Keep(0), w.Keep(2), w.Add(3, time.Unix(0, 99), []byte("new")), w.Keep(4), w.Keep(6), w.Keep(9))
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []part{{2, 20, "b"}, {2, 21, "c"}, {3, 99, "new"}, {6, 60, "e"}}
	if diff := cmp.Diff(parts(t, d), want); diff != "" {
		t.Errorf("kept (-got +want):\n%s", diff)
	}
}

// A write that fails leaves what was saved before, and no files behind.
func TestWriteFails(t *testing.T) {
	path := t.TempDir()
	d := opened(t, path)
	write(t, d, Head{}, part{1, 10, "a"})
	full := errors.New("disk is full")
	if _, err := d.Write(Head{}, func(w *Writer) error { return errors.Join(w.Add(1, time.Time{}, []byte("b")), full) }); !errors.Is(err, full) {
		t.Errorf("Write = %v, want %v", err, full)
	}
	if _, err := d.Write(Head{}, func(w *Writer) error { return w.Add(1, time.Time{}, make([]byte, bodyMost)) }); err == nil {
		t.Error("Write takes a body that no reader would")
	}
	if _, err := d.Write(Head{}, func(w *Writer) error {
		return errors.Join(w.Add(2, time.Time{}, nil), w.Add(1, time.Time{}, nil))
	}); err == nil {
		t.Error("Write takes partitions that fall")
	}
	if diff := cmp.Diff(parts(t, d), []part{{1, 10, "a"}}); diff != "" {
		t.Errorf("after a failure (-got +want):\n%s", diff)
	}
	if _, err := os.Stat(filepath.Join(path, nameNew)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left: %v", nameNew, err)
	}
}

// Whichever byte of a file is lost or changed, it is found out, the file is put aside, and the one before counts.
func TestTorn(t *testing.T) {
	path := t.TempDir()
	d := opened(t, path)
	old := []part{{3, 30, "before"}}
	write(t, d, Head{Boot: 1}, old...)
	write(t, d, Head{Boot: 2}, part{1, 10, "a"}, part{2, 20, strings.Repeat("b", 100)})
	_ = d.Close()
	file := filepath.Join(path, nameNow)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	harm := map[string][]byte{"empty": {}, "longer": append(bytes.Clone(whole), 'x')}
	for i := range whole {
		harm[fmt.Sprint("cut at ", i)] = whole[:i]
		if i != len(magic) { // a higher version is no harm: see TestNewer
			changed := bytes.Clone(whole)
			changed[i] ^= 0x41
			harm[fmt.Sprint("changed at ", i)] = changed
		}
	}
	for name, b := range harm {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := Open(path, "a", "noria")
		if err != nil {
			t.Errorf("%s: Open: %v", name, err)
			continue
		}
		if got := d.Skipped(); len(got) != 1 || !errors.Is(got[0], ErrTorn) || !strings.Contains(got[0].Error(), file) {
			t.Errorf("%s: skipped %v, want the file", name, got)
		}
		if diff := cmp.Diff(parts(t, d), old); diff != "" {
			t.Errorf("%s: read (-got +want):\n%s", name, diff)
		}
		_ = d.Close()
	}
	if _, err := os.Stat(filepath.Join(path, nameBad)); err != nil {
		t.Errorf("the torn file is not put aside: %v", err)
	}
	d = opened(t, path)
	write(t, d, Head{Boot: 3}, part{9, 90, "after"})
	if diff := cmp.Diff(parts(t, d), []part{{9, 90, "after"}}); diff != "" || len(d.Skipped()) > 0 {
		t.Errorf("after the next write (-got +want):\n%s", diff)
	}
}

// Both files may be torn: then there is nothing.
func TestAllTorn(t *testing.T) {
	path := t.TempDir()
	for _, name := range []string{nameNow, nameOld} {
		if err := os.WriteFile(filepath.Join(path, name), []byte("noria\n\x01 and no more"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := opened(t, path)
	if got := parts(t, d); len(got) > 0 || len(d.Skipped()) != 2 {
		t.Errorf("read %v, skipped %v, want nothing and two files", got, d.Skipped())
	}
}

// A directory is one process's, one node's of one cluster's, and no older release takes what a newer one wrote for nothing.
func TestRefused(t *testing.T) {
	path := t.TempDir()
	d := opened(t, path)
	write(t, d, Head{}, part{1, 10, "a"})
	if _, err := Open(path, "a", "noria"); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), path) {
		t.Errorf("Open of one in use = %v, want ErrInUse with the path", err)
	}
	_ = d.Close()
	for _, c := range [][2]string{{"b", "noria"}, {"a", "prod"}} {
		_, err := Open(path, c[0], c[1])
		if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), `"a"`) || !strings.Contains(err.Error(), c[0]) {
			t.Errorf("Open by %s of %s = %v, want ErrForeign with both names", c[0], c[1], err)
		}
	}
	opened(t, path) // it is free again after each refusal
}

func TestNewer(t *testing.T) {
	path := t.TempDir()
	if err := os.WriteFile(filepath.Join(path, nameNow), []byte(magic+"\x02 whatever that has"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, "a", "noria"); !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), "format 2, this one reads 1") {
		t.Errorf("Open of a newer format = %v, want ErrVersion", err)
	}
}

// A file of version 1 is read as long as there is this package.
func TestVersion1(t *testing.T) {
	path := t.TempDir()
	want := []part{{1, 1_000_000_007, "\x06\x00\x00\x00"}, {300, 1_000_000_009, "message"}}
	d := opened(t, path)
	write(t, d, Head{Ring: "16384/512/1.25", Boot: 77, Written: time.Unix(0, 1_000_000_010), Members: 3}, want...)
	_ = d.Close()
	golden := filepath.Join("testdata", "version1")
	got, err := os.ReadFile(filepath.Join(path, nameNow))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(golden, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if version == 1 && !bytes.Equal(got, b) {
		t.Errorf("version 1 is written as %q, want %q", got, b)
	}
	if err := os.WriteFile(filepath.Join(path, nameNow), b, 0o600); err != nil {
		t.Fatal(err)
	}
	d = opened(t, path)
	if diff := cmp.Diff(parts(t, d), want); diff != "" || len(d.Skipped()) > 0 {
		t.Errorf("version 1 is read as (-got +want):\n%s\n%v", diff, d.Skipped())
	}
	if got := d.Info(); got.Boot != 77 || got.Members != 3 || got.Ring != "16384/512/1.25" || got.Partitions != 2 {
		t.Errorf("version 1 has the head %+v", got)
	}
}

// No bytes upset the reader.
func FuzzVerify(f *testing.F) {
	if b, err := os.ReadFile(filepath.Join("testdata", "version1")); err == nil {
		f.Add(b)
	}
	f.Add([]byte(magic + "\x01\xff\xff\xff\x7f\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if info, err := verify(path); err == nil && info.Bytes != int64(len(b)) {
			t.Errorf("a file of %d bytes is whole with %d", len(b), info.Bytes)
		} else if err != nil && !errors.Is(err, ErrTorn) && !errors.Is(err, ErrVersion) {
			t.Errorf("verify = %v, want ErrTorn or ErrVersion", err)
		}
	})
}

// Whatever is written and kept, the last word on each partition is read back.
func TestAnyWrites(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		path, err := os.MkdirTemp(t.TempDir(), "") //nolint:usetesting // one for each try, below that of the test
		if err != nil {
			rt.Fatal(err)
		}
		d, err := Open(path, "a", "noria")
		if err != nil {
			rt.Fatal(err)
		}
		defer d.Close()
		model := map[int]string{}
		for turn := range rapid.IntRange(1, 4).Draw(rt, "turns") {
			next := map[int]string{}
			_, err := d.Write(Head{}, func(w *Writer) error {
				for p := range 8 {
					switch rapid.IntRange(0, 2).Draw(rt, "do") {
					case 0:
						next[p] = fmt.Sprint(turn, p)
						if err := w.Add(p, time.Unix(0, int64(turn)), []byte(next[p])); err != nil {
							return err
						}
					case 1:
						if was, ok := model[p]; ok {
							next[p] = was
						}
						if err := w.Keep(p); err != nil {
							return err
						}
					}
				}
				return nil
			})
			if err != nil {
				rt.Fatal(err)
			}
			model = next
			got := map[int]string{}
			if err := d.Read(func(p Part) error { got[p.Partition] = string(p.Message); return nil }); err != nil {
				rt.Fatal(err)
			}
			if diff := cmp.Diff(got, model); diff != "" {
				rt.Fatalf("turn %d (-got +want):\n%s", turn, diff)
			}
		}
	})
}
