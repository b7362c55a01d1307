package peer

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket is a TCP connection whose system calls the scheduler is not told of. They never block, so that it has nothing
// to do for them; when told it wakes its monitor thread each time that the process was idle before, which a node that
// waits for its peers is all the time. Between two processes that was half of all switches of threads.
type socket struct {
	net.Conn
	raw       syscall.RawConn
	in, out   half
	transfers [2]func(fd uintptr) bool // of in and of out
}

// half is one direction of a socket.
type half struct {
	mu    sync.Mutex
	buf   []byte        // guarded by mu
	n     int           // of the last call; guarded by mu
	errno syscall.Errno // of the last call; guarded by mu
}

// direct returns c as a socket if it is one. It gives the connection up when what was sent is not acknowledged for
// keepWait, which gRPC would see to if it knew that this is TCP.
func direct(c net.Conn) net.Conn {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return c
	}
	_ = raw.Control(func(fd uintptr) { // without it pings find out, later
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(keepWait.Milliseconds()))
	})
	s := &socket{Conn: c, raw: raw}
	s.transfers = [2]func(fd uintptr) bool{
		func(fd uintptr) bool { return s.in.transfer(unix.SYS_READ, fd) },
		func(fd uintptr) bool { return s.out.transfer(unix.SYS_WRITE, fd) },
	}
	return s
}

// transfer does one call of read or write, and says whether there was anything to do. h.mu is held.
func (h *half) transfer(call, fd uintptr) bool {
	for {
		n, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(h.buf))), uintptr(len(h.buf)))
		if errno == syscall.EINTR {
			continue
		}
		h.n, h.errno = int(n), errno
		return errno != syscall.EAGAIN
	}
}

// result returns what the last transfer did; err is how waiting for it ended. h.mu is held.
func (h *half) result(call string, err error) (int, error) {
	h.buf = nil
	switch {
	case err != nil:
		return 0, err
	case h.errno != 0:
		return 0, os.NewSyscallError(call, h.errno)
	}
	return h.n, nil
}

// Read implements net.Conn.
func (s *socket) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	s.in.buf = b
	n, err := s.in.result("read", s.raw.Read(s.transfers[0]))
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

// Write implements net.Conn.
func (s *socket) Write(b []byte) (int, error) {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	written := 0
	for written < len(b) {
		s.out.buf = b[written:]
		n, err := s.out.result("write", s.raw.Write(s.transfers[1]))
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}
