package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Networks gives every node a network namespace of its own, joined by a bridge in one more: so nodes can be cut off from
// each other, one way too, and packets can be late or lost. Nothing is changed in the namespace that this process is in.
// It needs root and the command ip of iproute2, and for late and lost packets tc and the kernel's sch_netem.
//
// What goes from one node to another is cut by a false hardware address of the other, set by hand: packets go out and
// nobody takes them, as on a cable that is unplugged further on. No packet filter has to be installed for that, and the
// sender sees no error, as it would from a blackhole route or a filter of its own.
type Networks struct {
	prefix string
	delay  time.Duration
	loss   float64 // percent

	mu    sync.Mutex
	nodes []string    // those that have a namespace, by number; guarded by mu
	cuts  [][2]string // guarded by mu
	hub   *os.File    // the namespace of the bridge
}

// netPrefix begins the names of all namespaces; the process's id follows.
const netPrefix = "noria-chaos-"

// NewNetworks makes the namespace of the bridge, after it has removed what runs that crashed left behind. Close removes it
// and those of all nodes. delay and loss, in percent, are of every packet that a node sends.
func NewNetworks(ctx context.Context, delay time.Duration, loss float64) (n *Networks, err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("networks of their own need root: run as root, or leave cuts, delay and loss out")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return nil, errors.New("the command ip is missing: install iproute2")
	}
	if err := removeLeftovers(ctx); err != nil {
		return nil, err
	}
	n = &Networks{prefix: fmt.Sprintf("%s%d-", netPrefix, os.Getpid()), delay: delay, loss: loss}
	defer func() { //nolint:contextcheck // what was made is removed, also where ctx has ended
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	if err := ip(ctx, "netns", "add", n.prefix+"hub"); err != nil {
		return nil, fmt.Errorf("this machine gives no network namespaces: %w", err)
	}
	for _, line := range []string{
		"link set lo up", "link add br0 type bridge", "addr add 10.213.0.1/24 dev br0", "link set br0 up",
	} {
		if err := ip(ctx, append([]string{"-n", n.prefix + "hub"}, strings.Fields(line)...)...); err != nil {
			return nil, err
		}
	}
	if n.hub, err = os.Open("/run/netns/" + n.prefix + "hub"); err != nil {
		return nil, err
	}
	return n, n.shape(ctx, n.prefix+"hub", "br0", true)
}

// add gives a node a namespace, if it has none, and returns its address.
func (n *Networks) add(ctx context.Context, node string) (host string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if host, ok := n.address(node); ok {
		return host, nil
	}
	number := len(n.nodes)
	n.nodes = append(n.nodes, node) // Close removes it, whatever comes
	host, _ = n.address(node)
	space, cable := n.prefix+node, fmt.Sprint("v", number)
	for _, line := range []string{
		"netns add " + space,
		fmt.Sprintf("link add %s netns %shub type veth peer name eth0 netns %s", cable, n.prefix, space),
		fmt.Sprintf("-n %shub link set %s master br0 up", n.prefix, cable),
		fmt.Sprintf("-n %s link set lo up", space),
		fmt.Sprintf("-n %s addr add %s/24 dev eth0", space, host),
		fmt.Sprintf("-n %s link set eth0 up", space),
	} {
		if err := ip(ctx, strings.Fields(line)...); err != nil {
			return "", err
		}
	}
	return host, n.shape(ctx, space, "eth0", false)
}

// address returns the address of a node that has a namespace. n.mu must be held.
func (n *Networks) address(node string) (string, bool) {
	for i, other := range n.nodes {
		if other == node {
			return fmt.Sprint("10.213.0.", i+10), true
		}
	}
	return "", false
}

// inside returns the beginning of a command line that runs a command in a node's namespace.
func (n *Networks) inside(node string) []string {
	return []string{"ip", "netns", "exec", n.prefix + node}
}

// shape makes what a device sends late and lose some of it. With try it only looks whether that can be done.
func (n *Networks) shape(ctx context.Context, space, device string, try bool) error {
	if n.delay == 0 && n.loss == 0 {
		return nil
	}
	line := fmt.Sprintf("netns exec %s tc qdisc add dev %s root netem delay %dus loss %g%%", space, device, n.delay.Microseconds(), n.loss)
	if err := ip(ctx, strings.Fields(line)...); err != nil {
		return fmt.Errorf("delay and loss need tc of iproute2 and the kernel's sch_netem (modprobe sch_netem; linux-modules-extra on some systems): %w", err)
	}
	if try {
		return ip(ctx, strings.Fields(fmt.Sprintf("netns exec %s tc qdisc del dev %s root", space, device))...)
	}
	return nil
}

// cut drops what goes from one node to another.
func (n *Networks) cut(ctx context.Context, from, to string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.address(from); !ok {
		return fmt.Errorf("%s has no network", from)
	}
	host, ok := n.address(to)
	if !ok {
		return fmt.Errorf("%s has no network", to)
	}
	n.cuts = append(n.cuts, [2]string{from, to})
	return ip(ctx, "-n", n.prefix+from, "neigh", "replace", host, "lladdr", "02:00:00:00:00:01", "dev", "eth0", "nud", "permanent")
}

// heal ends all cuts.
func (n *Networks) heal(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var wrong []error
	done := map[[2]string]bool{}
	for _, c := range n.cuts {
		if host, ok := n.address(c[1]); ok && !done[c] {
			wrong = append(wrong, ip(ctx, "-n", n.prefix+c[0], "neigh", "del", host, "dev", "eth0"))
		}
		done[c] = true
	}
	n.cuts = nil
	return errors.Join(wrong...)
}

// dial opens a connection from the namespace of the bridge, from which all nodes are reached, always. A socket stays in the
// namespace that it was made in.
func (n *Networks) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	own, err := os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
	if err != nil {
		return nil, err
	}
	defer own.Close()
	if err := unix.Setns(int(n.hub.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("enter the network of the bridge: %w", err)
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, network, addr) // an address of numbers is dialled in this goroutine
	if back := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); back != nil {
		panic(fmt.Sprintf("leave the network of the bridge: %v", back)) // and the thread is lost to all else
	}
	return c, err
}

// Close removes all namespaces. Processes in them have to have ended. It may be called twice.
func (n *Networks) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hub != nil {
		_ = n.hub.Close() // it was only read
		n.hub = nil
	}
	return removeNetworks(context.Background(), func(pid int) bool { return pid == os.Getpid() })
}

// removeLeftovers removes the namespaces of runs whose process is gone.
func removeLeftovers(ctx context.Context) error {
	return removeNetworks(ctx, func(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
}

// ours is the form of the names of namespaces.
var ours = regexp.MustCompile(`^` + netPrefix + `(\d+)-[a-z0-9-]+$`)

// removeNetworks removes the namespaces of the processes that whose likes.
func removeNetworks(ctx context.Context, whose func(pid int) bool) error {
	out, err := exec.CommandContext(ctx, "ip", "netns", "list").Output()
	if err != nil {
		return fmt.Errorf("ip netns list: %w", err)
	}
	var wrong []error
	for line := range strings.Lines(string(out)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		m := ours.FindStringSubmatch(name)
		if m == nil {
			continue
		}
		if pid, err := strconv.Atoi(m[1]); err == nil && whose(pid) {
			wrong = append(wrong, ip(ctx, "netns", "del", name))
		}
	}
	return errors.Join(wrong...)
}

// ip runs the command ip.
func ip(ctx context.Context, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
