package client

import (
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/noriahq/noria/bucket"
	pb "github.com/noriahq/noria/transport/noriapb"
)

// checkOf says r. What is out of range is left to the node, which says so.
func checkOf(r *bucket.Request) *pb.CheckRequest {
	l := &r.Limit
	return &pb.CheckRequest{
		Key: r.Key,
		LimitSpec: &pb.LimitSpec{
			Tokens: l.Tokens, PerNs: int64(l.Per), Burst: l.Burst, Queue: l.Queue, Window: windowOf(l.Window), Zone: l.Zone,
		},
		Cost:       proto.Int64(r.Cost),
		Id:         r.ID,
		Durability: durabilityOf(r.Durability),
		OnLost:     onLostOf(r.OnLost),
		ColdStart:  coldStartOf(r.ColdStart),
		ReserveNs:  int64(r.Reserve),
	}
}

// unknown is a number that no enumeration has: a node refuses it.
const unknown = 1 << 20

func windowOf(w bucket.Window) pb.Window {
	switch w {
	case bucket.None:
		return pb.Window_WINDOW_UNSPECIFIED
	case bucket.Fixed:
		return pb.Window_WINDOW_FIXED
	case bucket.Hour:
		return pb.Window_WINDOW_HOUR
	case bucket.Day:
		return pb.Window_WINDOW_DAY
	case bucket.Week:
		return pb.Window_WINDOW_WEEK
	case bucket.Month:
		return pb.Window_WINDOW_MONTH
	case bucket.Year:
		return pb.Window_WINDOW_YEAR
	case bucket.Concurrency:
		return pb.Window_WINDOW_CONCURRENCY
	}
	return unknown
}

func durabilityOf(d bucket.Durability) pb.Durability {
	switch d {
	case bucket.Async:
		return pb.Durability_DURABILITY_ASYNC
	case bucket.Sync:
		return pb.Durability_DURABILITY_SYNC
	case bucket.Ephemeral:
		return pb.Durability_DURABILITY_NONE
	}
	return unknown
}

func onLostOf(o bucket.OnLost) pb.OnLost {
	switch o {
	case bucket.Share:
		return pb.OnLost_ON_LOST_SHARE
	case bucket.Deny:
		return pb.OnLost_ON_LOST_DENY
	case bucket.Allow:
		return pb.OnLost_ON_LOST_ALLOW
	}
	return unknown
}

func coldStartOf(c bucket.ColdStart) pb.ColdStart {
	switch c {
	case bucket.Full:
		return pb.ColdStart_COLD_START_FULL
	case bucket.Empty:
		return pb.ColdStart_COLD_START_EMPTY
	}
	return unknown
}

// decisionOf reads m.
func decisionOf(m *pb.CheckResponse) bucket.Decision {
	d := bucket.Decision{
		Allowed:    m.GetAllowed(),
		Remaining:  m.GetRemaining(),
		RetryAfter: durationOf(m.GetRetryAfterNs()),
		ResetAfter: durationOf(m.GetResetAfterNs()),
		Delay:      durationOf(m.GetDelayNs()),
		Node:       m.GetNode(),
	}
	switch m.GetSource() {
	case pb.Source_SOURCE_LEASE:
		d.Source = bucket.FromLease
	case pb.Source_SOURCE_DENIAL:
		d.Source = bucket.FromDenial
	case pb.Source_SOURCE_DEGRADED:
		d.Source, d.Degraded = bucket.FromDegraded, true
	default:
		d.Source = bucket.FromHolder
	}
	return d
}

// durationOf reads nanoseconds; -1 is never.
func durationOf(ns int64) time.Duration {
	if ns < 0 {
		return bucket.Never
	}
	return time.Duration(ns)
}
