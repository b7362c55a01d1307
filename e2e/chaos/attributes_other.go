//go:build unix && !linux

package chaos

import "syscall"

// The signals that freeze a process and let it go on.
const (
	sigStop     = syscall.SIGSTOP
	sigContinue = syscall.SIGCONT
)

// attributes has nothing that ends a process with this one: Close does.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
