package chaos

import (
	"math/rand/v2"
	"time"
)

// The pace of random faults: so far apart that what one does is over before the next, mostly, and none so late that what it
// does is not seen.
const (
	firstFault = 3 * time.Second
	leastGap   = 4 * time.Second
	mostGap    = 9 * time.Second
	lastCalm   = 6 * time.Second

	// randomNodes is up to how many nodes join, where a plan does not begin with more: what a machine for one person runs.
	randomNodes = 5
)

// Random returns p with steps that its seed makes up: the same plan and seed give the same steps. cuts says whether some of
// them cut the network.
func Random(p Plan, cuts bool) Plan {
	r := rand.New(rand.NewPCG(p.Seed, 0x6368616f73)) //nolint:gosec // a plan is no secret
	up, most := p.Nodes, max(randomNodes, p.Nodes)
	p.Steps = nil
	calm := min(lastCalm, p.Duration/3)
	for at := min(firstFault, p.Duration/3); at <= p.Duration-calm && len(p.Steps) < MaxSteps-1; {
		s := randomStep(r, &up, most, cuts)
		s.At = at
		if room := p.Duration - calm - at; s.For > room {
			s.For = room
		}
		if s.Do == Flap && s.Every > s.For || s.Do == Pause && s.For < time.Millisecond {
			s = Step{At: at, Do: Join} // there is no room for more
			up++
		}
		p.Steps = append(p.Steps, s)
		end := at + s.For
		if s.Do == Cut {
			end += tenths(r, time.Second, 8*time.Second)
			end = min(end, p.Duration-calm)
			p.Steps = append(p.Steps, Step{At: end, Do: Heal})
		}
		at = end + tenths(r, leastGap, mostGap)
	}
	return p.withDefaults()
}

// randomStep returns a step that can be done while that many nodes are up, most at most. It never takes the fleet below
// three nodes, or what it began with.
func randomStep(r *rand.Rand, up *int, most int, cuts bool) Step {
	deeds := []string{Pause}
	if *up > 1 {
		deeds = append(deeds, Restart, Restart, Rolling)
	}
	if *up < most {
		deeds = append(deeds, Join, Join)
	}
	if *up > 3 {
		deeds = append(deeds, Leave, Kill, Kill)
	}
	if cuts && *up > 1 {
		deeds = append(deeds, Cut, Cut, Flap)
	}
	s := Step{Do: deeds[r.IntN(len(deeds))], Node: Any}
	switch s.Do {
	case Join:
		s.Node = ""
		*up++
	case Leave, Kill:
		*up--
	case Restart:
		s.How = []string{Kill, Leave}[r.IntN(2)]
	case Rolling:
		s.Node = ""
	case Pause:
		s.For = tenths(r, 500*time.Millisecond, 8*time.Second)
	case Cut:
		s.OneWay = r.IntN(4) == 0
	case Flap:
		s.For, s.Every = tenths(r, 2*time.Second, 5*time.Second), tenths(r, 300*time.Millisecond, time.Second)
	}
	return s
}

// tenths returns a duration from least to most, in tenths of seconds: plans are read by people.
func tenths(r *rand.Rand, least, most time.Duration) time.Duration {
	const unit = 100 * time.Millisecond
	return least + time.Duration(r.Int64N(int64((most-least)/unit)+1))*unit
}
