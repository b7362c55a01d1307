package api

import (
	"fmt"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/transport"
	pb "github.com/noriahq/noria/transport/noriapb"
)

// readCheck makes a check of m, which may be nil.
func (ls *limits) readCheck(at place, m *pb.CheckRequest) (c check, err error) {
	if m == nil {
		return c, missingKey(at)
	}
	c = check{name: m.GetName(), req: bucket.Request{Key: m.GetKey(), Cost: 1, ID: m.GetId()}}
	if m.Cost != nil {
		c.req.Cost = *m.Cost
	}
	if err := validKey(at, c.req.Key); err != nil {
		return c, err
	}
	if err := validCost(at, c.req.Cost); err != nil {
		return c, err
	}
	if err := validID(at, c.req.ID); err != nil {
		return c, err
	}
	if err := validName(at, c.name); err != nil {
		return c, err
	}
	known, err := ls.readLimit(at, m.GetLimit(), m.GetLimitSpec())
	if err != nil {
		return c, err
	}
	c.req.Limit, c.text = known.limit, known.text
	c.req.Reserve = time.Duration(m.GetReserveNs())
	if err := validReserve(at, &c.req, c.text); err != nil {
		return c, err
	}
	if err := validBurst(at, c.req.Cost, known); err != nil {
		return c, err
	}
	return c, c.readRules(at, m)
}

// readRules reads the enumerations of m.
func (c *check) readRules(at place, m *pb.CheckRequest) (err error) {
	if c.req.Durability, err = durabilityOf(at, m.GetDurability()); err != nil {
		return err
	}
	if c.req.OnLost, err = onLostOf(at, m.GetOnLost()); err != nil {
		return err
	}
	c.req.ColdStart, err = coldStartOf(at, m.GetColdStart())
	return err
}

// readChecks makes checks of ms.
func (ls *limits) readChecks(ms []*pb.CheckRequest) ([]check, error) {
	if err := validCount(len(ms)); err != nil {
		return nil, err
	}
	checks := make([]check, len(ms))
	for i, m := range ms {
		c, err := ls.readCheck(place(i), m)
		if err != nil {
			return nil, err
		}
		checks[i] = c
	}
	return checks, nil
}

// readLimit reads a limit that is given as text or as numbers.
func (ls *limits) readLimit(at place, text string, spec *pb.LimitSpec) (limitText, error) {
	switch {
	case spec == nil && text == "":
		return limitText{}, missingLimit(at)
	case spec == nil:
		return ls.parse(at, text)
	case text != "":
		return limitText{}, fmt.Errorf("%w: both %s and %s are set; want one", transport.ErrRequest, at.of("limit"), at.of("limit_spec"))
	}
	window, err := windowOf(at, spec.GetWindow())
	if err != nil {
		return limitText{}, err
	}
	return ls.valid(at, bucket.Limit{
		Tokens: spec.GetTokens(),
		Per:    time.Duration(spec.GetPerNs()),
		Burst:  spec.GetBurst(),
		Queue:  spec.GetQueue(),
		Window: window,
		Zone:   spec.GetZone(),
	})
}

func windowOf(at place, w pb.Window) (bucket.Window, error) {
	switch w {
	case pb.Window_WINDOW_UNSPECIFIED:
		return bucket.None, nil
	case pb.Window_WINDOW_FIXED:
		return bucket.Fixed, nil
	case pb.Window_WINDOW_HOUR:
		return bucket.Hour, nil
	case pb.Window_WINDOW_DAY:
		return bucket.Day, nil
	case pb.Window_WINDOW_WEEK:
		return bucket.Week, nil
	case pb.Window_WINDOW_MONTH:
		return bucket.Month, nil
	case pb.Window_WINDOW_YEAR:
		return bucket.Year, nil
	case pb.Window_WINDOW_CONCURRENCY:
		return bucket.Concurrency, nil
	}
	return 0, unknownNumber(at, "limit_spec.window", int32(w), len(pb.Window_name))
}

func durabilityOf(at place, d pb.Durability) (bucket.Durability, error) {
	switch d {
	case pb.Durability_DURABILITY_UNSPECIFIED, pb.Durability_DURABILITY_ASYNC:
		return bucket.Async, nil
	case pb.Durability_DURABILITY_SYNC:
		return bucket.Sync, nil
	case pb.Durability_DURABILITY_NONE:
		return bucket.Ephemeral, nil
	}
	return 0, unknownNumber(at, "durability", int32(d), len(pb.Durability_name))
}

func onLostOf(at place, o pb.OnLost) (bucket.OnLost, error) {
	switch o {
	case pb.OnLost_ON_LOST_UNSPECIFIED, pb.OnLost_ON_LOST_SHARE:
		return bucket.Share, nil
	case pb.OnLost_ON_LOST_DENY:
		return bucket.Deny, nil
	case pb.OnLost_ON_LOST_ALLOW:
		return bucket.Allow, nil
	}
	return 0, unknownNumber(at, "on_lost", int32(o), len(pb.OnLost_name))
}

func coldStartOf(at place, c pb.ColdStart) (bucket.ColdStart, error) {
	switch c {
	case pb.ColdStart_COLD_START_UNSPECIFIED, pb.ColdStart_COLD_START_FULL:
		return bucket.Full, nil
	case pb.ColdStart_COLD_START_EMPTY:
		return bucket.Empty, nil
	}
	return 0, unknownNumber(at, "cold_start", int32(c), len(pb.ColdStart_name))
}

// unknownNumber says that an enumeration of n values does not have v.
func unknownNumber(at place, field string, v int32, n int) error {
	return fmt.Errorf("%w: %s is %d; want 0 to %d", transport.ErrRequest, at.of(field), v, n-1)
}

// checkResponse says d.
func checkResponse(d *bucket.Decision) *pb.CheckResponse {
	return &pb.CheckResponse{
		Allowed:      d.Allowed,
		Remaining:    d.Remaining,
		RetryAfterNs: nanos(d.RetryAfter),
		ResetAfterNs: nanos(d.ResetAfter),
		DelayNs:      nanos(d.Delay),
		Source:       sourceNumber(sourceOf(d)),
		Node:         d.Node,
	}
}

// checkAllResponse says v.
func checkAllResponse(v *verdict) *pb.CheckAllResponse {
	m := &pb.CheckAllResponse{
		Allowed:      v.allowed,
		DeniedBy:     v.deniedBy,
		RetryAfterNs: nanos(v.retryAfter),
		DelayNs:      nanos(v.delay),
		Checks:       make([]*pb.CheckResponse, len(v.decisions)),
	}
	for i := range v.decisions {
		m.Checks[i] = checkResponse(&v.decisions[i])
	}
	return m
}

// nanos returns d in nanoseconds, -1 for never.
func nanos(d time.Duration) int64 {
	if d == bucket.Never {
		return -1
	}
	return int64(d)
}

func sourceNumber(s bucket.Source) pb.Source {
	switch s {
	case bucket.FromHolder:
		return pb.Source_SOURCE_HOLDER
	case bucket.FromLease:
		return pb.Source_SOURCE_LEASE
	case bucket.FromDenial:
		return pb.Source_SOURCE_DENIAL
	case bucket.FromDegraded:
		return pb.Source_SOURCE_DEGRADED
	}
	return pb.Source_SOURCE_UNSPECIFIED
}

// statusResponse says s.
func statusResponse(s *cluster.Status) *pb.StatusResponse {
	m := &pb.StatusResponse{
		Node:       string(s.Node),
		Ready:      s.Ready,
		Label:      s.Label,
		Epoch:      s.Epoch,
		Ring:       s.Ring,
		Members:    make([]*pb.Member, len(s.Members)),
		Partitions: int64(s.Partitions),
		Keys:       int64(s.Keys),
		Evicted:    s.Evicted,
		Degraded:   s.Degraded,
		UptimeNs:   int64(s.Uptime),
		Role:       string(s.Role),

		Policy:       s.Policy,
		Policies:     int64(s.Policies),
		Reservations: int64(s.Reservations),
	}
	for i, member := range s.Members {
		m.Members[i] = &pb.Member{
			Id:         string(member.ID),
			Peer:       member.Peer,
			Gossip:     member.Gossip,
			Partitions: int64(member.Partitions),
			Self:       member.Self,
			Role:       string(member.Role),
			Policy:     member.Policy,
		}
	}
	return m
}
