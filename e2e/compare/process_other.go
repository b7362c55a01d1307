//go:build unix && !linux

package main

import "syscall"

// attributes has nothing that ends a process with this one: a tool that is not killed ends it.
func attributes() *syscall.SysProcAttr { return nil }
