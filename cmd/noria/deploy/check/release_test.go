package check

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

var whole = flag.Bool("release", false, "build a release too, which takes minutes")

// release builds a release for this machine alone.
func release(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command("../release.sh", dir)
	cmd.Env = append(os.Environ(), "VERSION=v9.8.7", "COMMIT=0123456789abcdef", "DATE=2026-01-02T03:04:05Z", "PLATFORMS="+runtime.GOOS+"/"+runtime.GOARCH)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("release.sh: %v\n%s", err, out)
	}
}

// A release has an archive whose binary says which it is, what it is made of, and checksums; made again it is the same,
// byte for byte.
func TestRelease(t *testing.T) {
	if !*whole {
		t.Skip("takes minutes: make release-check")
	}
	if runtime.GOOS != "linux" {
		t.Skip("archives are made with GNU tar")
	}
	dirs := []string{filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "two")}
	for _, dir := range dirs {
		release(t, dir)
	}
	name := "noria_9.8.7_" + runtime.GOOS + "_" + runtime.GOARCH
	for _, file := range []string{name + ".tar.gz", name + ".cdx.json", "SHA256SUMS"} {
		one, err := os.ReadFile(filepath.Join(dirs[0], file))
		if err != nil {
			t.Fatal(err)
		}
		two, err := os.ReadFile(filepath.Join(dirs[1], file))
		if err != nil || !bytes.Equal(one, two) {
			t.Errorf("%s is made another time and differs: %v", file, err)
		}
	}
	files := unpack(t, filepath.Join(dirs[0], name+".tar.gz"))
	for _, want := range []string{"LICENSE", "README.md", "CHANGELOG.md", "completions/noria.bash", "completions/noria.zsh", "completions/noria.fish", "noria.service"} {
		if len(files[name+"/"+want]) == 0 {
			t.Errorf("the archive has no %s", want)
		}
	}
	path := filepath.Join(t.TempDir(), "noria")
	if err := os.WriteFile(path, files[name+"/noria"], 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(path, "version", "--output", "json").Output()
	for _, want := range []string{`"version":"v9.8.7"`, `"commit":"0123456789abcdef"`, `"date":"2026-01-02T03:04:05Z"`} {
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("noria version says %s, %v, want %s", out, err, want)
		}
	}
	checkParts(t, filepath.Join(dirs[0], name+".cdx.json"))
}

// checkParts looks whether a list of components has those that are surely in the binary.
func checkParts(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var bom struct {
		BOMFormat  string `json:"bomFormat"`
		Components []struct{ Name, Version, PURL string }
	}
	if err := json.Unmarshal(b, &bom); err != nil || bom.BOMFormat != "CycloneDX" {
		t.Fatalf("%s: %v, format %q", path, err, bom.BOMFormat)
	}
	for _, want := range []string{"std", "google.golang.org/grpc", "github.com/hashicorp/memberlist", "github.com/buraksezer/consistent"} {
		if !slices.ContainsFunc(bom.Components, func(c struct{ Name, Version, PURL string }) bool {
			return c.Name == want && c.Version != "" && strings.HasPrefix(c.PURL, "pkg:golang/")
		}) {
			t.Errorf("%s has no %s", path, want)
		}
	}
}

// unpack returns the files of an archive.
func unpack(t *testing.T, path string) map[string][]byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Uname != "" {
			t.Errorf("%s belongs to %d %s", h.Name, h.Uid, h.Uname)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}
