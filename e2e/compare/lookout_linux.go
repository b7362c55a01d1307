package main

import (
	"encoding/json"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// serveLookout is lookoutCommand. It writes nothing to stderr and closes it when it watches, and when stdin ends it tells on stdout
// when it was late.
func serveLookout(stdin io.Reader, stdout io.Writer, stderr io.Closer) error {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return os.NewSyscallError("sched_getaffinity", err)
	}
	runtime.GOMAXPROCS(all.Count() + 2) // what waits in the kernel as the threads do keeps its turn
	debug.SetGCPercent(-1)
	var (
		stop     atomic.Bool
		watching sync.WaitGroup
		late     = make([][]span, all.Count())
		began    = make(chan error)
	)
	for cpu, i := 0, 0; cpu < len(all)*strconv.IntSize; cpu++ {
		if !all.IsSet(cpu) {
			continue
		}
		to := &late[i]
		i++
		watching.Go(func() {
			runtime.LockOSThread() // and never unlocked: the thread ends with this
			err := first(cpu)
			if began <- err; err == nil {
				*to = watchProcessor(&stop)
			}
		})
		if err := <-began; err != nil {
			return err
		}
	}
	if err := stderr.Close(); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, stdin); err != nil {
		return err
	}
	stop.Store(true)
	watching.Wait()
	told := []span{}
	for _, spans := range late {
		told = append(told, spans...)
	}
	return json.NewEncoder(stdout).Encode(told)
}

// first has this thread run on cpu, before all others.
func first(cpu int) error {
	var only unix.CPUSet
	only.Set(cpu)
	if err := unix.SchedSetaffinity(0, &only); err != nil {
		return os.NewSyscallError("sched_setaffinity", err)
	}
	return os.NewSyscallError("sched_setattr", unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_FIFO, Priority: 10}, 0))
}

// watchProcessor returns when this thread ran later than it wanted to, until stop. It waits by a raw call: by any other it would have to
// ask Go's scheduler for its turn.
func watchProcessor(stop *atomic.Bool) []span {
	late := make([]span, 0, lookoutMost)
	due := monotonic()
	for !stop.Load() && len(late) < cap(late) {
		due += int64(lookoutPeriod)
		at, now := unix.NsecToTimespec(due), int64(0)
		for now < due { // signals end a wait early
			_, _, _ = syscall.RawSyscall6(syscall.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, uintptr(unsafe.Pointer(&at)), 0, 0, 0)
			now = monotonic()
		}
		if now-due > int64(lookoutLate) {
			late = append(late, span{due, now})
		}
		due = max(due, now)
	}
	return late
}

// monotonic reads the machine's monotonic clock, in nanoseconds.
func monotonic() int64 {
	var at unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &at) // there is that clock
	return at.Nano()
}
