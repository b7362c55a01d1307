package chaos

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A crew is who is up, as far as the plan tells.
type crew struct {
	plan   Plan
	up     []string
	paused map[string]time.Duration // until when
	lost   int                      // how many are down of whom the plan does not say who
	flaps  time.Duration            // until when one goes on
	isCut  bool                     // and not healed
}

// impossible returns the steps that cannot be carried out, because of what those before them did.
func (p Plan) impossible() []flaw {
	c := &crew{plan: p, paused: map[string]time.Duration{}}
	for i := range min(p.Nodes, MaxNodes) {
		c.up = append(c.up, name(i))
	}
	c.up = append(c.up, p.GatewayNames()...)
	var all []flaw
	for _, i := range p.order() {
		if field, err := c.step(p.Steps[i]); err != nil {
			all = append(all, flaw{fmt.Sprintf("steps[%d].%s", i, field), err})
		}
	}
	return all
}

// order returns the indices of p's steps in order of their times.
func (p Plan) order() []int {
	order := make([]int, len(p.Steps))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p.Steps[a].At, p.Steps[b].At) })
	return order
}

// step takes in s, or says why it cannot be.
func (c *crew) step(s Step) (field string, err error) {
	left := c.holders() - c.lost // who is lost may have been one
	who := fmt.Sprintf("up at %v: %s", s.At, strings.Join(c.up, ", "))
	if c.lost > 0 {
		who += fmt.Sprintf(", less %d of them that an earlier step does not name", c.lost)
	}
	switch s.Do {
	case Join:
		return c.join(s)
	case Heal:
		if !c.isCut {
			return "do", fmt.Errorf("nothing is cut at %v", s.At)
		}
		c.isCut = false
		return "", nil
	}
	if s.Do == Rolling {
		if err := c.waits(s); err != nil {
			return "do", err
		}
	} else {
		if field, err := c.named(s, who); err != nil {
			return field, err
		}
	}
	gateway := c.plan.isGateway(s.Node)
	switch {
	case !gateway && (s.Do == Leave || s.Do == Kill) && left < 2:
		return "do", fmt.Errorf("no node would be left that holds keys: %s", who)
	case !gateway && (s.Do == Rolling || s.Do == Restart || s.Do == Cut || s.Do == Flap) && left < 2:
		return "do", fmt.Errorf("%s takes two nodes that hold keys, so that one has what the other had: %s", s.Do, who)
	case (s.Do == Cut || s.Do == Flap) && (c.isCut || s.At < c.flaps):
		return "do", fmt.Errorf("another cut stands at %v: heal it first", s.At)
	case s.Do == Pause:
		c.paused[s.Node] = s.At + s.For
	case s.Do == Cut:
		c.isCut = true
	case s.Do == Flap:
		c.flaps = s.At + s.For
	case s.Do == Leave || s.Do == Kill:
		c.drop(s)
	}
	return "", nil
}

// join is step for a node that comes.
func (c *crew) join(s Step) (field string, err error) {
	if left := len(c.up) - c.lost; left >= MaxNodes {
		return "do", fmt.Errorf("%d nodes are there, want at most %d", left, MaxNodes)
	}
	joined := s.Node
	if joined == "" {
		joined = c.free()
	}
	if slices.Contains(c.up, joined) {
		return "node", fmt.Errorf("%s is there at %v: a node joins that is not, such as %s", joined, s.At, c.free())
	}
	c.up = append(c.up, joined)
	return "", nil
}

// holders returns how many nodes are up that hold keys.
func (c *crew) holders() (count int) {
	for _, n := range c.up {
		if !c.plan.isGateway(n) {
			count++
		}
	}
	return count
}

// free returns the first name that no node has.
func (c *crew) free() string {
	for i := 0; ; i++ {
		if !slices.Contains(c.up, name(i)) {
			return name(i)
		}
	}
}

// named says whether whom s names is there and can be told.
func (c *crew) named(s Step, who string) (field string, err error) {
	for _, n := range slices.Concat([]string{s.Node}, s.With, s.To) {
		field := either(n == s.Node, "node", either(slices.Contains(s.With, n), "with", "to"))
		if n == "" || n == Any && field == "node" {
			continue
		}
		if !slices.Contains(c.up, n) {
			return field, fmt.Errorf("%s is not there: %s", n, who)
		}
		if c.lost > 0 {
			return field, fmt.Errorf("%s may be gone by then: %s; want any", n, who)
		}
		if until := c.paused[n]; until > s.At && s.Do != Cut && s.Do != Flap && s.Do != Kill {
			return field, fmt.Errorf("%s is paused until %v", n, until)
		}
	}
	return "", nil
}

// waits returns why the nodes could not agree at s, which waits until they do.
func (c *crew) waits(s Step) error {
	for n, until := range c.paused {
		if until > s.At {
			return fmt.Errorf("%s waits after each node until all agree, and %s is paused until %v", s.Do, n, until)
		}
	}
	if c.isCut || s.At < c.flaps {
		return fmt.Errorf("%s waits after each node until all agree, and a cut stands at %v", s.Do, s.At)
	}
	return nil
}

// drop takes whom s ends off the crew.
func (c *crew) drop(s Step) {
	if s.Node == "" || s.Node == Any {
		c.lost++
		return
	}
	c.up = slices.DeleteFunc(c.up, func(n string) bool { return n == s.Node })
}
