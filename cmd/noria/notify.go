package main

import (
	"context"
	"log/slog"
	"net"
	"strconv"
	"time"
)

// A notifier tells systemd how a service is doing, by the protocol of sd_notify(3): with Type=notify the unit is up when the node is
// ready, and with WatchdogSec= it is started again if the node does not move any more. The zero value tells nobody.
type notifier struct {
	socket string        // NOTIFY_SOCKET; "" for none
	every  time.Duration // in which the watchdog wants to hear from it; 0 for none
	log    *slog.Logger
}

// newNotifier returns the notifier that systemd asks for in env. pid is of this process.
func newNotifier(env map[string]string, pid int, log *slog.Logger) notifier {
	n := notifier{socket: env["NOTIFY_SOCKET"], log: log}
	us, err := strconv.ParseInt(env["WATCHDOG_USEC"], 10, 64)
	if of := env["WATCHDOG_PID"]; err == nil && us > 0 && (of == "" || of == strconv.Itoa(pid)) {
		n.every = time.Duration(us) * time.Microsecond
	}
	return n
}

// tell says that state is so: lines of NAME=VALUE.
func (n notifier) tell(state string) {
	if n.socket == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"}) // @ for an abstract one works too
	if err == nil {
		_, err = conn.Write([]byte(state))
		_ = conn.Close() // a datagram is on its way at once
	}
	if err != nil {
		n.log.Warn("systemd does not hear of this node", "err", err)
	}
}

// watch tells the watchdog that all is well for as long as alive returns, twice in each of its times, until ctx ends.
func (n notifier) watch(ctx context.Context, alive func()) error {
	if n.socket == "" || n.every == 0 {
		return nil
	}
	tick := time.NewTicker(max(n.every/2, time.Millisecond))
	defer tick.Stop()
	for {
		alive()
		n.tell("WATCHDOG=1")
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
