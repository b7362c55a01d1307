package main

import (
	"time"
)

// drain is how a node stops gracefully.
type drain struct {
	timeout time.Duration
	delay   time.Duration
	old     time.Duration // by the name that the timeout had before; unsaid for none
}

const (
	unsaid       time.Duration = -1
	usualTimeout               = 25 * time.Second
)

// addDrain defines the flags of d.
func addDrain(in section, d *drain) {
	in.add("drain-timeout", "drain_timeout", "most `TIME` that a graceful stop takes", of(&d.timeout, "duration", "25s", duration(0, time.Hour)))
	in.add("drain-delay", "drain_delay", "`TIME` of it, after readiness is off, in which the node takes requests as before: until load balancers have noticed", of(&d.delay, "duration", "0s", duration(0, time.Hour)))
	d.old = unsaid
	old := in.add("stop-wait", "stop_wait", "the same as --drain-timeout, by its old name", of(&d.old, "duration", "", duration(0, time.Hour)))
	old.Deprecated, old.Hidden = "say --drain-timeout", true
}

// within returns how long a graceful stop may take.
func (d *drain) within() time.Duration {
	if d.old != unsaid && d.timeout == usualTimeout {
		return d.old
	}
	return d.timeout
}

func (d *drain) check() error {
	if d.delay > 0 && d.delay >= d.within() {
		return usagef("--drain-delay is %v, want less than --drain-timeout, %v, of which it is a part", d.delay, d.within())
	}
	return nil
}
