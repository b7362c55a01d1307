package e2e

import (
	"os"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// apart calls start, which starts a process. Where there are several processors the last one is that process's from then on, and this
// one has the others until the test ends.
func apart(t *testing.T, start func()) {
	t.Helper()
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(os.Getpid(), &all); err != nil || all.Count() < 2 {
		t.Logf("%d processors (%v): those who ask and who answers share them", all.Count(), err)
		start()
		return
	}
	last := 0
	for cpu := range len(all) * strconv.IntSize {
		if all.IsSet(cpu) {
			last = cpu
		}
	}
	var its unix.CPUSet
	its.Set(last)
	rest := all
	rest.Clear(last)
	runtime.LockOSThread() // what a thread starts runs where it runs
	defer runtime.UnlockOSThread()
	t.Cleanup(func() { runOn(t, &all) })
	if err := unix.SchedSetaffinity(0, &its); err != nil {
		t.Fatal(err)
	}
	start()
	runOn(t, &rest)
}

// runOn has all threads of this process run on the processors on, as those will that they start.
func runOn(t *testing.T, on *unix.CPUSet) {
	t.Helper()
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		if id, err := strconv.Atoi(thread.Name()); err == nil {
			_ = unix.SchedSetaffinity(id, on) // it may have ended
		}
	}
}
