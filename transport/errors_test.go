package transport

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
)

// Errors are told by what they wrap, with their own words as the detail.
func TestFailureOf(t *testing.T) {
	for _, c := range []struct {
		err    error
		code   codes.Code
		status int
		kind   string
		retry  time.Duration
	}{
		{bucket.ErrKey, codes.InvalidArgument, 400, "bad-key", 0},
		{fmt.Errorf("checks[3]: %w: 7", bucket.ErrCost), codes.InvalidArgument, 400, "bad-cost", 0},
		{bucket.ErrConflict, codes.InvalidArgument, 400, "conflict", 0},
		{ErrRequest, codes.InvalidArgument, 400, "bad-request", 0},
		{ErrTooLarge, codes.ResourceExhausted, 413, "too-large", 0},
		{ErrMediaType, codes.InvalidArgument, 415, "bad-media-type", 0},
		{ErrMethod, codes.Unimplemented, 405, "bad-method", 0},
		{ErrNotFound, codes.NotFound, 404, "no-such-path", 0},
		{cluster.ErrNotReady, codes.Unavailable, 503, "not-ready", time.Second},
		{cluster.ErrClosed, codes.Unavailable, 503, "closed", time.Second},
		{cluster.ErrPeerSilent, codes.Unavailable, 503, "peer-lost", time.Second},
		{cluster.ErrTooLate, codes.DeadlineExceeded, 504, "too-late", 0},
		{context.DeadlineExceeded, codes.DeadlineExceeded, 504, "deadline", 0},
		{fmt.Errorf("ask b: %w", context.Canceled), codes.Canceled, 499, "canceled", 0},
	} {
		want := Failure{c.code, c.status, "urn:noria:problem:" + c.kind, "", c.retry, c.err.Error()}
		got := FailureOf(c.err)
		if got.Title == "" {
			t.Errorf("FailureOf(%v) has no title", c.err)
		}
		if got.Title = ""; got != want {
			t.Errorf("FailureOf(%v) = %+v, want %+v", c.err, got, want)
		}
		if told := status.Convert(GRPC(c.err)); told.Code() != c.code || told.Message() != c.err.Error() {
			t.Errorf("GRPC(%v) = %v, want %v and the error's words", c.err, told, c.code)
		}
	}
}

// Every row has all that a caller is told.
func TestTableRows(t *testing.T) {
	for _, r := range table() {
		if f := r.told; f.Status < 400 || f.Code == codes.OK || f.Title == "" || !strings.HasPrefix(f.Type, "urn:noria:problem:") {
			t.Errorf("row of %v is %+v, want a status, a code, a title and a type", r.err, f)
		}
	}
}

// An error that nobody wrote for callers is a fault of the node, and its words stay here.
func TestFailureOfUnknown(t *testing.T) {
	got := FailureOf(errors.New("secret"))
	if got.Code != codes.Internal || got.Status != 500 || strings.Contains(got.Detail, "secret") {
		t.Errorf("FailureOf(unknown) = %+v, want Internal, 500 and no secret", got)
	}
	if err := GRPC(errors.New("secret")); status.Code(err) != codes.Internal || strings.Contains(err.Error(), "secret") {
		t.Errorf("GRPC(unknown) = %v, want Internal and no secret", err)
	}
}

// A gRPC status stays as it is, and so does the absence of an error.
func TestGRPCKeeps(t *testing.T) {
	err := status.Error(codes.Aborted, "x")
	if got := GRPC(err); got != err { //nolint:errorlint // the very same one, not one that wraps it
		t.Errorf("GRPC(%v) = %v, want it unchanged", err, got)
	}
	if got := GRPC(nil); got != nil {
		t.Errorf("GRPC(nil) = %v, want nil", got)
	}
}

// Every error that a room below exports is in the table, so that nobody adds one and callers see a fault of the node.
func TestTableIsComplete(t *testing.T) {
	table, err := os.ReadFile("errors.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, room := range []string{"bucket", "cluster"} {
		for _, name := range exportedErrors(t, "../"+room) {
			if !strings.Contains(string(table), "{"+room+"."+name+", ") {
				t.Errorf("%s.%s has no row in the table of errors.go", room, name)
			}
		}
	}
}

// exportedErrors returns the names of the Err variables of the package in dir.
func exportedErrors(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := fs.Glob(os.DirFS(dir), "*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", dir, len(files), err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), dir+"/"+file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, s := range g.Specs {
				for _, name := range s.(*ast.ValueSpec).Names {
					if strings.HasPrefix(name.Name, "Err") {
						names = append(names, name.Name)
					}
				}
			}
		}
	}
	if len(names) == 0 {
		t.Fatalf("%s has no errors: this test looks in the wrong place", dir)
	}
	return names
}
