// Package arrows checks who imports whom: the rooms of the repository and the arrows between them.
//
//	cmd -> transport -> cluster -> {bucket, ring}      bucket/policy -> bucket
//
// It reads the import lines of every file, whatever its build tags, and needs no build.
package arrows

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Module is the path of the module whose arrows are checked.
const Module = "github.com/noriahq/noria"

// A Violation is one import or call that goes against an arrow.
type Violation struct {
	Pos token.Position // of the import or the call, its file relative to the checked tree
	Why string         // what is wrong and which rule says so
}

// String returns v as a compiler would say it.
func (v Violation) String() string {
	return fmt.Sprintf("%s:%d: %s", v.Pos.Filename, v.Pos.Line, v.Why)
}

// A room is a folder, with the folders below it that are no room of their own, and what its files may import.
type room struct {
	dir   string
	own   []string // folders of this module that it may import, with those below
	never []string // imports that it must not have, with those below, even where own would let them
}

// rooms returns the rooms, those inside another room before it.
func rooms() []room {
	const (
		grpc       = "google.golang.org/grpc"
		protobuf   = "google.golang.org/protobuf"
		memberlist = "github.com/hashicorp/memberlist"
		yaml       = "github.com/goccy/go-yaml"
		cel        = "github.com/google/cel-go"
		policy     = Module + "/bucket/policy" // brings both of them to who embeds
		envoy      = "github.com/envoyproxy"
		prometheus = "github.com/prometheus" // package metrics has numbers for it
		otel       = "go.opentelemetry.io"   // and package traces for this
	)
	return []room{
		{dir: "bucket/policy", own: []string{"bucket"}, never: []string{prometheus, otel, grpc, protobuf, memberlist, envoy, "net/http"}},
		{dir: "bucket", never: []string{prometheus, otel, grpc, protobuf, memberlist, envoy, "net/http", yaml, cel, policy}},
		{dir: "ring", never: []string{prometheus, otel, grpc, protobuf, memberlist, envoy, "net/http", yaml, cel}},
		{dir: "cluster", own: []string{"cluster", "bucket", "ring"}, never: []string{prometheus, otel, grpc, protobuf, envoy, yaml, cel, policy}},
		{dir: "transport/noriapb", own: []string{"transport/noriapb"}, never: []string{memberlist, envoy}},
		{dir: "transport/gubernatorpb", own: []string{"transport/gubernatorpb"}, never: []string{memberlist, envoy}},
		{dir: "transport/peerpb", own: []string{"transport/peerpb"}, never: []string{memberlist, envoy}},
		{dir: "transport/rls/descriptors", own: []string{"transport/rls/descriptors", "bucket"}, never: []string{grpc, protobuf, memberlist, envoy, "net/http"}},
		{dir: "transport/rls", own: []string{"transport", "cluster", "bucket", "ring"}, never: []string{memberlist}}, // it alone, and cmd, speaks Envoy's words
		{dir: "transport", own: []string{"transport", "cluster", "bucket", "ring"}, never: []string{memberlist, envoy}},
		// The command chaos is the harness that breaks fleets: users run it, so it is in the binary. No other room of e2e is,
		// and this one does not import testing.
		{dir: "cmd", own: []string{"cmd", "transport", "cluster", "bucket", "ring", "e2e/chaos"}},
		{dir: "e2e/chaos", own: []string{"e2e/chaos", "e2e/oracle", "transport", "cluster", "bucket", "ring"}, never: []string{"testing"}},
		{dir: "e2e/oracle", own: []string{"e2e/oracle", "bucket"}, never: []string{"testing"}},
		{dir: "e2e", own: []string{"e2e", "transport", "cluster", "bucket", "ring"}},
	}
}

// Check returns what in the tree goes against the arrows, in order of files and lines. It leaves out tests, because a
// test may stand on both sides of an arrow, folders named testdata or starting with a dot, and modules inside the tree. An
// error is one of reading or parsing.
func Check(tree fs.FS) ([]Violation, error) {
	var all []Violation
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return skip(tree, name)
		case !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		found, err := checkFile(tree, name)
		all = append(all, found...)
		return err
	})
	return all, err
}

// skip returns fs.SkipDir for folders whose files are not the module's.
func skip(tree fs.FS, dir string) error {
	base := path.Base(dir)
	if dir == "." {
		return nil
	}
	if strings.HasPrefix(base, ".") || base == "testdata" || base == "node_modules" {
		return fs.SkipDir
	}
	if _, err := fs.Stat(tree, path.Join(dir, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

// checkFile returns what in the file goes against the arrows.
func checkFile(tree fs.FS, name string) ([]Violation, error) {
	src, err := fs.ReadFile(tree, name)
	if err != nil {
		return nil, err
	}
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var all []Violation
	add := func(pos token.Pos, why string) {
		if why != "" {
			all = append(all, Violation{Pos: files.Position(pos), Why: why})
		}
	}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		add(spec.Pos(), judgeImport(path.Dir(name), imported))
	}
	if !mayReadProcess(name) {
		for _, use := range readsOfProcess(file) {
			add(use.Pos(), "os."+use.Sel.Name+": only cmd reads arguments and environment")
		}
	}
	return all, nil
}

// judgeImport returns why a file in dir must not import imported, "" if it may.
func judgeImport(dir, imported string) string {
	if readsFlags(imported) && !mayReadProcess(dir) {
		return "import of " + imported + ": only cmd reads flags"
	}
	at := slices.IndexFunc(rooms(), func(r room) bool { return within(dir, r.dir) })
	if at < 0 {
		if dir != "." && within(imported, Module) {
			return "folder " + dir + " is in no room, so nothing says what it may import"
		}
		return ""
	}
	r := rooms()[at]
	if slices.ContainsFunc(r.never, func(no string) bool { return within(imported, no) }) {
		return fmt.Sprintf("import of %s: not in %s", strings.TrimPrefix(imported, Module+"/"), r.dir)
	}
	if own, ok := strings.CutPrefix(imported, Module+"/"); ok {
		if !slices.ContainsFunc(r.own, func(to string) bool { return within(own, to) }) && !within(own, r.dir) {
			return fmt.Sprintf("import of %s: %s may import %s", own, r.dir, list(r.own))
		}
	}
	return ""
}

// list returns names as a part of a sentence.
func list(names []string) string {
	if len(names) == 0 {
		return "nothing of this module"
	}
	return strings.Join(names, ", ")
}

// within says whether name is dir or below it.
func within(name, dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }

// mayReadProcess says whether a file or folder may look at flags, arguments and environment. Tests of real processes
// may: they start commands.
func mayReadProcess(name string) bool { return within(name, "cmd") || within(name, "e2e") }

// readsFlags says whether a package reads the command line.
func readsFlags(imported string) bool {
	return imported == "flag" || within(imported, "github.com/spf13")
}

// readsOfProcess returns where file looks at its process's arguments and environment.
func readsOfProcess(file *ast.File) []*ast.SelectorExpr {
	name := nameOf(file, "os")
	if name == "" {
		return nil
	}
	var uses []*ast.SelectorExpr
	ast.Inspect(file, func(n ast.Node) bool {
		if use, ok := n.(*ast.SelectorExpr); ok {
			if pkg, ok := use.X.(*ast.Ident); ok && pkg.Name == name && readsProcess(use.Sel.Name) {
				uses = append(uses, use)
			}
		}
		return true
	})
	return uses
}

// readsProcess says whether os.name tells of the process's arguments or environment.
func readsProcess(name string) bool {
	return slices.Contains([]string{"Args", "Environ", "ExpandEnv", "Getenv", "LookupEnv", "Setenv", "Unsetenv"}, name)
}

// nameOf returns the name under which file imports the package, "" if it does not.
func nameOf(file *ast.File, imported string) string {
	for _, spec := range file.Imports {
		if spec.Path.Value != strconv.Quote(imported) {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(imported)
	}
	return ""
}
