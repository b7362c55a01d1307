package core

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/ring"
)

// Config is what a Core is made of. All fields but the durations are required.
type Config struct {
	// Self and Boot say who this node is; a newer run has a larger Boot.
	Self ring.Member
	Boot uint64

	// Gateway says that this node never holds anything, nor keeps replicas: it only wants to know who does, and how many may
	// answer while a holder is missing.
	Gateway bool

	// Store decides on the partitions that are held. All of them are frozen at first.
	Store *bucket.Store

	// Replicas keeps the copies of what others hold. All of its partitions are frozen for good.
	Replicas *bucket.Store

	// Saved, where not nil, is room for what the node had saved in an earlier run, for Load. All of its partitions are frozen
	// for good. It is let go of once all of that is merged with what others know.
	Saved *bucket.Store

	// Epoch, where not zero, is the wall time of Instant 0. Then the terms of what is started from less than a replica begin
	// anew by it, so that what is loaded is told from what came after it. All nodes that save something need it.
	Epoch time.Time

	// Partitions is the number of partitions of the stores and of the ring.
	Partitions int

	// Tick is how often the owner calls Tick. Default: 20ms. It is also how old a replica is at most when it is sent.
	Tick time.Duration

	// Beat is how often each member is asked whether it hears this node. Default: 100ms.
	Beat time.Duration

	// Call is the same for a gateway, which asks holders alone, and what holders tell each other of gateways. Default: 1s.
	Call time.Duration

	// Fence is how long a node decides without being heard by more than half of the membership. Default: 1250ms. It must be
	// less than what the membership takes to miss a node.
	Fence time.Duration

	// Retry is how long a node waits before it claims again what it was refused. Default: 50ms.
	Retry time.Duration

	// Founder says that this node need not wait for anybody before it starts what nobody has ever held. The others wait for
	// Found, lest two who have just met and have not found the cluster yet start one of their own.
	Founder bool

	// Found is how long a view has to last before what nobody has ever held is started. Default: 2s.
	Found time.Duration

	// Pace is how many bytes a second this node sends at most of what moves without hurry: partitions to those who join, and
	// whole replicas. What leaves with this node goes as fast as it is taken, but no more than 16,384 partitions a second,
	// whatever is in them; what a node that came back fetches goes as fast as it is taken.
	// Default: 4 MiB.
	Pace int

	// Forget is how long a dead member counts for the majority. Default: 10m.
	Forget time.Duration
}

func (c Config) withDefaults() Config {
	c.Tick = cmp.Or(c.Tick, 20*time.Millisecond)
	c.Beat = cmp.Or(c.Beat, 100*time.Millisecond)
	c.Call = cmp.Or(c.Call, time.Second)
	c.Fence = cmp.Or(c.Fence, 1250*time.Millisecond)
	c.Retry = cmp.Or(c.Retry, 50*time.Millisecond)
	c.Found = cmp.Or(c.Found, 2*time.Second)
	c.Pace = cmp.Or(c.Pace, 4<<20)
	c.Forget = cmp.Or(c.Forget, 10*time.Minute)
	return c
}

// check returns what is wrong with c.
func (c Config) check() error {
	switch {
	case c.Self == "":
		return errors.New("core: Self is empty")
	case c.Store == nil || c.Replicas == nil:
		return errors.New("core: Store or Replicas is nil")
	case c.Partitions < 1 || c.Partitions > 1<<16:
		return fmt.Errorf("core: Partitions is %d, want 1 to 65536", c.Partitions)
	case c.Tick < 0 || c.Beat < 0 || c.Call < 0 || c.Fence < 0 || c.Retry < 0 || c.Found < 0 || c.Forget < 0:
		return errors.New("core: a duration is negative")
	case c.Pace < 0:
		return fmt.Errorf("core: Pace is %d, want more than 0", c.Pace)
	}
	return nil
}
