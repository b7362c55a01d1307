package chaos

import (
	"strings"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/e2e/oracle"
)

// What a fault may cost, beyond burst plus rate times the window, in each window that shares a moment with it. B is the
// burst and r the rate. A kill costs only keys whose holder it hit; where the holder is not known, the kill counts as one
// of the holder.
//
//	fault                 counts in windows that touch       none      async                        sync    promise
//	(none), join, leave,  -                                  0         0                            0       1, 2
//	rolling restart
//	kill, restart (kill)  began to gone                      B         min(B, admitted in delta)    0       3
//	  within doubleLoss   began to gone                      B         B                            B       3
//	  of the last kill
//	pause up to quick     began to resumed + healWait        r * pause, and 0 where on_lost is deny         4
//	slow                  the degraded answers' times        r * that time, and 0 where on_lost is deny     4
//	longer pause, cut,    began to healed + healWait         B + r * detection                              4
//	flap, missed
//
// Why these and no others:
//
//   - The bound of a window that does not touch a fault needs no slack: at its beginning the bucket's debt is not negative,
//     however much of it was forgotten before.
//   - What async may lose is what was admitted since the last replica; delta is 20 ms and one way through the network. The
//     judge counts all admissions that may have been decided in delta before the process was gone: that is r * delta and
//     the burst spent in delta. Where the machine's own clocks were late, so was the replica, by as much.
//   - A replica is on one node, the heir. Who loses the holder and then the heir, before there was time for a new replica,
//     has lost the bucket by any durability.
//   - A node that is frozen for less than quick is missed by nobody, so it stays the holder. Meanwhile the others answer
//     from their shares, which begin empty and gain together at most r; its own bucket gains the same r.
//   - A holder that has too much to do to answer its peers in time is as one that is frozen for as long: the others answer
//     from their shares.
//   - Whoever is cut off or frozen for longer is replaced, and goes on by itself until it finds out: a second burst, and
//     what is refilled until then. Until healWait after the heal there may be two holders.
//   - Answers that on_lost: allow gave without the holder are beyond any bound, by that rule. They are not counted.
//   - A quota is a bucket with r = 0.
const (
	replicaEvery = 20 * time.Millisecond
	doubleLoss   = 5 * time.Second
	quick        = 1500 * time.Millisecond
	healWait     = 5 * time.Second
)

// isKill says whether a fault takes a node's memory with it.
func isKill(kind string) bool {
	return strings.HasPrefix(kind, Kill) || strings.Contains(kind, "("+Kill+")")
}

// isGraceful says whether a fault of the kind must not be noticed by anyone.
func isGraceful(kind string) bool {
	return kind == Join || kind == Leave || kind == Rolling || strings.Contains(kind, "("+Leave+")")
}

// promiseOf returns the number of the promise that a fault puts to the test.
func promiseOf(kind string) int {
	switch {
	case isKill(kind):
		return 3
	case isGraceful(kind):
		return 2
	default:
		return 4
	}
}

// spanOf returns the time in which a window has to have a moment for f to count in it.
func spanOf(f Fault) oracle.Span {
	switch promiseOf(f.Kind) {
	case 3:
		return oracle.Span{From: f.Began, To: f.Down}
	case 4:
		if f.Kind == Slow {
			return oracle.Span{From: f.Began, To: f.Over}
		}
		return oracle.Span{From: f.Began, To: f.Over + healWait}
	default:
		return oracle.Span{From: f.Began, To: max(f.Over, f.Calm)}
	}
}

// slacks returns what the history's faults may cost the key, of which these are the admissions.
func (h *History) slacks(key int, admissions []oracle.Admission) []oracle.Slack {
	limit := h.limitOf(key)
	var all []oracle.Slack
	lastKill := time.Duration(-1 << 62)
	for i, f := range h.Faults {
		span := spanOf(f)
		var tokens int64
		switch promiseOf(f.Kind) {
		case 3:
			if h.Faults[i].hits(key) {
				tokens = h.lostBy(f, limit, admissions)
			}
			if f.Began-lastKill < doubleLoss {
				tokens = limit.parsed.Burst
			}
			lastKill = f.Down
		case 4:
			tokens = h.splitBy(f, limit)
		}
		if tokens > 0 {
			all = append(all, oracle.Slack{From: span.From, To: span.To, Tokens: tokens})
		}
	}
	return all
}

// hits says whether the fault may have been one of key's holder.
func (f Fault) hits(key int) bool { return f.Hit == nil || f.Hit[key] }

// lostBy returns how much the kill f of the holder may cost.
func (h *History) lostBy(f Fault, l Limit, admissions []oracle.Admission) int64 {
	switch l.Durability {
	case "sync":
		return 0
	case "none":
		return l.parsed.Burst
	}
	delta := replicaEvery + h.Plan.Delay + f.Late
	var recent int64
	for _, a := range admissions {
		if a.Returned >= f.Began-delta && a.Called <= f.Down {
			recent += a.Cost
		}
	}
	return min(l.parsed.Burst, recent)
}

// splitBy returns how much a cut or a pause may cost.
func (h *History) splitBy(f Fault, l Limit) int64 {
	all := l.parsed.Burst + gained(l.parsed, h.Plan.Detection)
	if long := f.Over - f.Began; f.Kind == Slow || f.Kind == Pause && long <= quick {
		if l.OnLost == "deny" {
			return 0
		}
		return min(all, gained(l.parsed, long))
	}
	return all
}

// gained returns the tokens that a bucket of l gains in d, rounded up.
func gained(l bucket.Limit, d time.Duration) int64 {
	if l.Tokens == 0 {
		return 0
	}
	whole, part := int64(d/l.Per), int64(d%l.Per)
	return whole*l.Tokens + int64(float64(part)*float64(l.Tokens)/float64(l.Per)) + 1
}
