package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// processorTime returns the time on processors, in user space and in the kernel, that this process and the others have
// had so far; of the others only on Linux.
func processorTime(others []int) (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("getrusage: %w", err)
	}
	sum := time.Duration(u.Utime.Nano() + u.Stime.Nano())
	if runtime.GOOS != "linux" {
		return sum, nil
	}
	for _, pid := range others {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, err
		}
		t, err := statTime(stat)
		if err != nil {
			return 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		sum += t
	}
	return sum, nil
}

// tick is the unit of times in /proc: USER_HZ is 100 on every platform that Go knows.
const tick = time.Second / 100

// statTime returns the user and the system time in a /proc/PID/stat: fields 14 and 15. Field 2 is a name in parentheses
// that may contain anything.
func statTime(stat []byte) (time.Duration, error) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("%d fields after the name, want 13 or more", len(fields))
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}
