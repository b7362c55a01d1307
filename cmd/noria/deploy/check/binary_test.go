package check

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// noria is the path of the binary that TestMain built.
var noria string

// TestMain builds the command once: the same way as the image does.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "noria-deploy-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	noria = filepath.Join(dir, "noria")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", noria, "./cmd/noria")
	build.Dir, build.Env = "../../../..", append(os.Environ(), "GOWORK=off")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	status := 1
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build noria:", err)
	} else {
		status = m.Run()
	}
	_ = os.RemoveAll(dir)
	os.Exit(status)
}

// binary returns the path of the binary.
func binary(t *testing.T) string {
	t.Helper()
	return noria
}
