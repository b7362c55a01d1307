package arrows

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// The rooms of this repository know only whom they may.
func TestArrows(t *testing.T) {
	found, err := Check(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range found {
		t.Errorf("%v", v)
	}
}

// The tree that TestArrows looks at is the repository and not an empty folder.
func TestTreeIsThere(t *testing.T) {
	for _, r := range rooms() {
		if _, err := os.Stat("../../" + r.dir); err != nil {
			t.Error(err)
		}
	}
}

// Bubbles are those of clustertest/bubble, which keeps the race detector whole while timers are due at once.
func TestBubbles(t *testing.T) {
	root := os.DirFS("../..")
	plain := "synctest" + ".Test("
	found := 0
	err := fs.WalkDir(root, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, "_test.go") {
			return err
		}
		source, err := fs.ReadFile(root, file)
		if err != nil {
			return err
		}
		if strings.Contains(string(source), plain) {
			t.Errorf("%s: %s...), want bubble.Test", file, plain)
		}
		if strings.Contains(string(source), "bubble.Test(") {
			found++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found == 0 {
		t.Error("no file with bubble.Test was looked at")
	}
}

// The checker finds each kind of violation where it is planted, and nothing in a tree that is in order.
func TestPlantedViolations(t *testing.T) {
	const own = Module + "/"
	cases := []struct {
		file, source string
		want         string // "" for none
	}{
		{"transport/api/a.go", importing("github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"), "transport/api/a.go:2: import of github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3: not in transport"},
		{"transport/rls/a.go", importing("github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"), ""},
		{"transport/rls/descriptors/a.go", importing("google.golang.org/grpc"), "transport/rls/descriptors/a.go:2: import of google.golang.org/grpc: not in transport/rls/descriptors"},
		{"bucket/a.go", importing(own + "ring"), "bucket/a.go:2: import of ring: bucket may import nothing of this module"},
		{"bucket/a.go", importing(own + "bucket/policy"), "bucket/a.go:2: import of bucket/policy: not in bucket"},
		{"bucket/a.go", importing(own + "bucket/nearest"), ""},
		{"bucket/a.go", importing("github.com/goccy/go-yaml/ast"), "bucket/a.go:2: import of github.com/goccy/go-yaml/ast: not in bucket"},
		{"bucket/a.go", importing("github.com/google/cel-go/cel"), "bucket/a.go:2: import of github.com/google/cel-go/cel: not in bucket"},
		{"bucket/a.go", importing("google.golang.org/grpc/codes"), "bucket/a.go:2: import of google.golang.org/grpc/codes: not in bucket"},
		{"bucket/a.go", importing("time"), ""},
		{"bucket/policy/a.go", importing(own + "bucket"), ""},
		{"bucket/policy/a.go", importing("github.com/google/cel-go/cel"), ""},
		{"bucket/policy/strict/a.go", importing("github.com/goccy/go-yaml/ast"), ""},
		{"bucket/policy/a.go", importing("net/http"), "bucket/policy/a.go:2: import of net/http: not in bucket/policy"},
		{"cluster/core/a.go", importing(own + "bucket/policy"), "cluster/core/a.go:2: import of bucket/policy: not in cluster"},
		{"ring/a.go", importing("github.com/google/cel-go/cel"), "ring/a.go:2: import of github.com/google/cel-go/cel: not in ring"},
		{"bucket/policy/a.go", importing(own + "cluster"), "bucket/policy/a.go:2: import of cluster: bucket/policy may import bucket"},
		{"ring/a.go", importing(own + "bucket"), "ring/a.go:2: import of bucket: ring may import nothing of this module"},
		{"ring/a.go", importing("github.com/hashicorp/memberlist"), "ring/a.go:2: import of github.com/hashicorp/memberlist: not in ring"},
		{"ring/a.go", importing("github.com/buraksezer/consistent"), ""},
		{"cluster/a.go", importing(own + "ring"), ""},
		{"cluster/a.go", importing("github.com/hashicorp/memberlist"), ""},
		{"cluster/gossip/a.go", importing(own + "transport/peerpb"), "cluster/gossip/a.go:2: import of transport/peerpb: cluster may import cluster, bucket, ring"},
		{"transport/api/a.go", importing(own + "cluster"), ""},
		{"transport/api/a.go", importing(own + "cmd/noria"), "transport/api/a.go:2: import of cmd/noria: transport may import transport, cluster, bucket, ring"},
		{"transport/noriapb/a.go", importing(own + "cluster"), "transport/noriapb/a.go:2: import of cluster: transport/noriapb may import transport/noriapb"},
		{"transport/api/a.go", importing("flag"), "transport/api/a.go:2: import of flag: only cmd reads flags"},
		{"cmd/noria/a.go", importing(own + "e2e/harness"), "cmd/noria/a.go:2: import of e2e/harness: cmd may import cmd, transport, cluster, bucket, ring, e2e/chaos"},
		{"cmd/noria/a.go", importing(own + "e2e/chaos"), ""},
		{"e2e/chaos/a.go", importing(own + "e2e/oracle"), ""},
		{"e2e/chaos/a.go", importing(own + "e2e/harness"), "e2e/chaos/a.go:2: import of e2e/harness: e2e/chaos may import e2e/chaos, e2e/oracle, transport, cluster, bucket, ring"},
		{"e2e/chaos/a.go", importing("testing"), "e2e/chaos/a.go:2: import of testing: not in e2e/chaos"},
		{"cmd/noria/a.go", importing("github.com/spf13/cobra"), ""},
		{"util/a.go", importing(own + "ring"), "util/a.go:2: folder util is in no room, so nothing says what it may import"},
		{"cluster/a.go", reading("os", "os.Getenv"), "cluster/a.go:3: os.Getenv: only cmd reads arguments and environment"},
		{"cluster/a.go", reading("sys \"os\"", "sys.Args"), "cluster/a.go:3: os.Args: only cmd reads arguments and environment"},
		{"cluster/a.go", reading("os", "os.ReadFile"), ""},
		{"cmd/noria/a.go", reading("os", "os.Args"), ""},
		{"bucket/a_test.go", importing(own + "ring"), ""},
		{"bucket/testdata/a.go", importing(own + "ring"), ""},
		{"bucket/tagged.go", "//go:build planted\n\n" + importing(own+"ring"), "bucket/tagged.go:4: import of ring: bucket may import nothing of this module"},
	}
	for _, c := range cases {
		t.Run(c.file+" "+c.want, func(t *testing.T) {
			found, err := Check(fstest.MapFS{c.file: {Data: []byte(c.source)}})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, v := range found {
				got = append(got, v.String())
			}
			if diff := cmp.Diff(c.want, strings.Join(got, "\n")); diff != "" {
				t.Errorf("Check of\n%s\ndiffers (-want +got):\n%s", c.source, diff)
			}
		})
	}
}

// A module inside the tree, such as e2e/compare, has arrows of its own.
func TestNestedModule(t *testing.T) {
	found, err := Check(fstest.MapFS{
		"ring/inner/go.mod": {Data: []byte("module inner\n")},
		"ring/inner/a.go":   {Data: []byte(importing(Module + "/bucket"))},
	})
	if err != nil || len(found) > 0 {
		t.Errorf("Check = %v, %v; want nothing", found, err)
	}
}

// importing returns a file that imports path.
func importing(path string) string { return fmt.Sprintf("package p\nimport _ %q\n", path) }

// reading returns a file that imports the spec and uses the name.
func reading(spec, name string) string {
	if spec == "os" {
		spec = `"os"`
	}
	return fmt.Sprintf("package p\nimport %s\nvar _ = %s\n", spec, name)
}
