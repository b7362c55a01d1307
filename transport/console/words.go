package console

import (
	"strconv"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/ring"
)

// Sentence says ev in words, without its time.
func Sentence(ev cluster.Event) string {
	node, who := name(ev.Node), name(ev.Member)
	parts := partitions(ev.Partitions)
	switch ev.Kind {
	case cluster.EventJoined:
		return who + " joined" + now(ev.Members)
	case cluster.EventBack:
		return who + " is back" + now(ev.Members)
	case cluster.EventDraining:
		return who + " is leaving and hands over what it holds"
	case cluster.EventLeft:
		return who + " left" + now(ev.Members)
	case cluster.EventDead:
		return who + " is gone without a word" + now(ev.Members)
	case cluster.EventPolicy:
		if ev.Policy == "" {
			return who + " goes by no policy any more"
		}
		return who + " goes by policy " + ev.Policy
	case cluster.EventTakenIn:
		return node + " took in " + parts + " from " + who
	case cluster.EventHandedOver:
		return node + " handed " + parts + " to " + who
	case cluster.EventPromoted:
		return node + " goes on with its replicas of " + parts + " whose holder is gone"
	case cluster.EventCold:
		return node + " goes on with " + parts + " whose holder is gone, without a replica"
	case cluster.EventFounded:
		return node + " holds " + parts + " that nobody has held before"
	case cluster.EventGivenUp:
		if ev.Member == "" {
			return node + " gave up " + parts + " that another member has by a higher term"
		}
		return node + " gave up " + parts + ": " + who + " has them by a higher term"
	case cluster.EventFenced:
		return node + " stopped deciding on " + parts + ": too few members hear it"
	case cluster.EventSilenced:
		return node + " does not decide: too few members hear it"
	case cluster.EventHeard:
		return node + " decides again"
	}
	return node + ": " + string(ev.Kind)
}

func name(m ring.Member) string {
	if m == "" {
		return "nobody"
	}
	return string(m)
}

func now(members int) string {
	switch members {
	case 0:
		return ""
	case 1:
		return ", 1 member now"
	}
	return ", " + strconv.Itoa(members) + " members now"
}

func partitions(n int) string {
	if n == 1 {
		return "1 partition"
	}
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s + " partitions"
}
