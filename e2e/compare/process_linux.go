package main

import "syscall"

// attributes has the kernel end a process when this one dies, however that comes.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
