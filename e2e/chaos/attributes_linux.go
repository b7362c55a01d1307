package chaos

import "syscall"

// The signals that freeze a process and let it go on.
const (
	sigStop     = syscall.SIGSTOP
	sigContinue = syscall.SIGCONT
)

// attributes has the kernel end a process when this one dies, however that comes.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
