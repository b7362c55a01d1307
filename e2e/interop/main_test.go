// Package interop runs the SDKs that people call models with, and the proxies that they have already, against a fleet of real
// processes.
package interop

import (
	"os"
	"testing"

	"github.com/noriahq/noria/e2e/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
