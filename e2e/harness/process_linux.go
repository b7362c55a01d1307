package harness

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
)

// attributes has the kernel end a process when the test's process dies, however that comes.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// frozen says whether the process is stopped by a signal.
func frozen(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true // gone, which the caller finds out
	}
	_, rest, _ := bytes.Cut(stat, []byte(") ")) // the state comes after the name, which is in parentheses
	return bytes.HasPrefix(rest, []byte("T"))
}
