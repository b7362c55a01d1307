package main

import (
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// listenNotify returns the socket on which systemd would listen, and what it hears.
func listenNotify(t *testing.T) (socket string, heard func() string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return socket, func() string {
		t.Helper()
		b := make([]byte, 200)
		_ = l.SetReadDeadline(time.Now().Add(patience))
		n, err := l.Read(b)
		if err != nil {
			t.Fatalf("systemd hears nothing: %v", err)
		}
		return string(b[:n])
	}
}

// systemd is told when the node is ready, that it lives, and that it stops.
func TestNotify(t *testing.T) {
	socket, heard := listenNotify(t)
	env := []string{"NOTIFY_SOCKET=" + socket, "WATCHDOG_USEC=20000"}
	r := start(t, env, append([]string{"serve"}, free()...)...)
	said := map[string]int{}
	for said["READY=1"] == 0 || said["WATCHDOG=1"] < 3 {
		said[heard()]++
	}
	r.stop()
	for said["STOPPING=1"] == 0 {
		said[heard()]++
	}
	if got := r.wait(); got != statusFine || said["READY=1"] != 1 {
		t.Errorf("serve ends with %d, systemd heard %v, want one READY=1", got, said)
	}
}

// Nobody is told where nobody listens, and a watchdog for another process is none.
func TestNotifyNobody(t *testing.T) {
	for _, c := range []struct {
		env   map[string]string
		every time.Duration
	}{
		{map[string]string{}, 0},
		{map[string]string{"WATCHDOG_USEC": "30000000"}, 30 * time.Second},
		{map[string]string{"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30 * time.Second},
		{map[string]string{"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, 0},
		{map[string]string{"WATCHDOG_USEC": "soon"}, 0},
		{map[string]string{"WATCHDOG_USEC": "-1"}, 0},
	} {
		n := newNotifier(c.env, 7, nil)
		if n.every != c.every {
			t.Errorf("%v: the watchdog wants to hear every %v, want %v", c.env, n.every, c.every)
		}
		n.tell("READY=1") // and does not mind
	}
	r := start(t, []string{"NOTIFY_SOCKET=" + filepath.Join(t.TempDir(), "none")}, append([]string{"serve"}, free()...)...)
	r.line(r.err, "systemd does not hear of this node")
	r.line(r.err, `"msg":"ready"`)
	r.stop()
	if got := r.wait(); got != statusFine {
		t.Errorf("serve ends with %d, want %d", got, statusFine)
	}
}

// Readiness goes off first, and for a while the node answers as before, so that load balancers see it in time.
func TestDrainDelay(t *testing.T) {
	r, ready := serveNode(t, "--drain-delay", "400ms", "--drain-timeout", "10s")
	readyz := func() int {
		res, err := http.Get("http://" + ready.Admin + "/readyz")
		if err != nil {
			return 0
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	if got := readyz(); got != 200 {
		t.Errorf("/readyz answers %d, want 200", got)
	}
	began := time.Now()
	r.stop()
	waitFor(t, func() bool { return readyz() == 503 })
	res, err := http.Post("http://"+ready.API+"/v1/check", "application/json", strings.NewReader(`{"key":"k","limit":"5/s"}`))
	if err != nil {
		if time.Since(began) < 300*time.Millisecond { // else the machine stood still
			t.Errorf("a check while readiness is off: %v", err)
		}
	} else {
		if res.StatusCode != http.StatusOK {
			t.Errorf("a check while readiness is off answers %d, want 200", res.StatusCode)
		}
		_ = res.Body.Close()
	}
	if got := r.wait(); got != statusFine || time.Since(began) < 400*time.Millisecond {
		t.Errorf("serve ends with %d after %v, want %d after 400ms at least", got, time.Since(began), statusFine)
	}
}

// The old name of --drain-timeout works, and a delay has to be a part of the time.
func TestDrainFlags(t *testing.T) {
	for name, c := range map[string]struct {
		args, env []string
		file      string
		want      time.Duration
	}{
		"nothing":        {want: 25 * time.Second},
		"flag":           {args: []string{"--drain-timeout", "7s"}, want: 7 * time.Second},
		"old flag":       {args: []string{"--stop-wait", "7s"}, want: 7 * time.Second},
		"old variable":   {env: []string{"NORIA_NODE_STOP_WAIT=7s"}, want: 7 * time.Second},
		"old field":      {file: "node: {stop_wait: 7s}", want: 7 * time.Second},
		"old field of 0": {file: "node: {stop_wait: 0s}", want: 0},
		"both":           {args: []string{"--stop-wait", "7s", "--drain-timeout", "8s"}, want: 8 * time.Second},
	} {
		s, err := told(t, c.file, c.env, c.args...)
		if err != nil || s.drain.within() != c.want {
			t.Errorf("%s: a stop takes %v at most, %v; want %v", name, s.drain.within(), err, c.want)
		}
	}
	status, _, errs := once(t, nil, append([]string{"serve"}, free("--drain-delay", "30s")...)...)
	if status != statusUsage || !strings.Contains(errs, "--drain-delay is 30s, want less than --drain-timeout, 25s") {
		t.Errorf("serve ends with %d and %q, want what is wrong with the delay", status, errs)
	}
}
