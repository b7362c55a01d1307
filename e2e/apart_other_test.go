//go:build !linux

package e2e

import "testing"

// apart calls start, which starts a process.
func apart(_ *testing.T, start func()) { start() }
