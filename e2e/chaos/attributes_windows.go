package chaos

import "syscall"

// The signals that freeze a process and let it go on do not exist: sending them is an error, as it is for SIGTERM, so
// processes can only be killed.
const (
	sigStop     = syscall.Signal(19)
	sigContinue = syscall.Signal(18)
)

// attributes has nothing that ends a process with this one: Close does.
func attributes() *syscall.SysProcAttr { return nil }
