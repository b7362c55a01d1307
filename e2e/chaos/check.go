package chaos

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/bucket/nearest"
)

// The bounds of a plan.
const (
	MaxNodes    = 20
	MaxClients  = 64
	MaxKeys     = 200_000
	MaxRate     = 50_000
	MaxDuration = 24 * time.Hour
	MaxRequests = 10_000_000 // of all clients; each takes some 50 bytes of memory
	MaxSteps    = 1000
)

// A flaw is what is wrong with a field of a plan.
type flaw struct {
	field string // as a YAML path: steps[2].node
	err   error
}

// Check returns what is wrong with p, nil if it can be carried out. cuts says whether the network between nodes can be
// cut, slowed and made to lose packets.
func (p Plan) Check(cuts bool) error {
	var all []error
	for _, f := range p.flaws(cuts) {
		all = append(all, fmt.Errorf("%s: %w", f.field, f.err))
	}
	return errors.Join(all...)
}

// flaws returns all that is wrong with p.
func (p Plan) flaws(cuts bool) []flaw {
	var all []flaw
	add := func(field, format string, args ...any) {
		all = append(all, flaw{field, fmt.Errorf(format, args...)})
	}
	p.flawedSizes(add)
	if (p.Delay != 0 || p.Loss != 0) && !cuts {
		add(either(p.Delay != 0, "delay", "loss"), "%s", needsNetworks)
	}
	if len(p.Limits) == 0 || len(p.Limits) > 100 {
		add("limits", "%d limits, want 1 to 100, such as\n  - limit: 10/s burst 20", len(p.Limits))
	}
	hot, others := 0.0, 0
	for i, l := range p.Limits {
		hot += max(l.Hot, 0)
		if l.Hot == 0 {
			others++
		}
		for field, err := range l.flaws(p.Duration) {
			add(fmt.Sprintf("limits[%d].%s", i, field), "%w", err)
		}
	}
	switch {
	case hot >= 1 || math.IsNaN(hot):
		add("limits", "hot keys get %v of all requests together, want less than 1", hot)
	case hot > 0 && others == 0:
		add("limits", "all limits are of hot keys, want one without hot for the others")
	}
	if len(p.Steps) > MaxSteps {
		add("steps", "%d steps, want at most %d", len(p.Steps), MaxSteps)
		return all
	}
	shaped := len(all)
	for i, s := range p.Steps {
		if field, err := s.flaw(p, cuts); err != nil {
			add(fmt.Sprintf("steps[%d].%s", i, field), "%w", err)
		}
	}
	if len(all) > shaped {
		return all // who is up when says nothing of steps that are wrong in themselves
	}
	return append(all, p.impossible()...)
}

// needsNetworks says why a plan is refused that cuts where nothing can be cut.
const needsNetworks = "nodes on loopback cannot be cut off from each other: every node needs a network of its own (--netns, as root)"

// either returns a if ok, else b.
func either[T any](ok bool, a, b T) T {
	if ok {
		return a
	}
	return b
}

// flawedSizes adds what is wrong with p's numbers.
func (p Plan) flawedSizes(add func(field, format string, args ...any)) {
	for _, n := range []struct {
		field     string
		got, most int
	}{
		{"nodes", p.Nodes, MaxNodes},
		{"clients", p.Clients, MaxClients},
		{"keys", p.Keys, MaxKeys},
		{"rate", p.Rate, MaxRate},
	} {
		if n.got < 1 || n.got > n.most {
			add(n.field, "is %d, want 1 to %d", n.got, n.most)
		}
	}
	for _, d := range []struct {
		field            string
		got, least, most time.Duration
	}{
		{"duration", p.Duration, time.Second, MaxDuration},
		{"timeout", p.Timeout, 10 * time.Millisecond, time.Minute},
		{"peer_wait", p.PeerWait, time.Millisecond, time.Minute},
		{"detection", p.Detection, 100 * time.Millisecond, time.Minute},
		{"delay", p.Delay, 0, 10 * time.Second},
	} {
		if d.got < d.least || d.got > d.most {
			add(d.field, "is %v, want a duration from %v to %v, such as 10s", d.got, d.least, d.most)
		}
	}
	if most := MaxNodes - max(p.Nodes, 1); p.Gateways < 0 || p.Gateways > max(most, 0) {
		add("gateways", "is %d, want 0 to %d: at most %d nodes in all", p.Gateways, max(most, 0), MaxNodes)
	}
	if p.Timeout <= p.PeerWait {
		add("timeout", "is %v and peer_wait %v: a request can be answered in time only if it waits longer than nodes wait for each other", p.Timeout, p.PeerWait)
	}
	if p.Loss < 0 || p.Loss > 50 || math.IsNaN(p.Loss) {
		add("loss", "is %v, want percent from 0 to 50", p.Loss)
	}
	if requests := float64(p.Rate) * p.Duration.Seconds(); requests > MaxRequests {
		add("rate", "%d a second for %v are %.0f requests, want at most %d: take a lower rate or a shorter duration", p.Rate, p.Duration, requests, MaxRequests)
	}
}

// flaws returns what is wrong with l's fields in a run of that length.
func (l Limit) flaws(run time.Duration) map[string]error {
	wrong := map[string]error{}
	for field, f := range map[string]struct {
		got   string
		known []string
	}{
		"durability": {l.Durability, []string{"none", "async", "sync"}},
		"on_lost":    {l.OnLost, []string{"share", "deny", "allow"}},
	} {
		if f.got != "" && !slices.Contains(f.known, f.got) {
			wrong[field] = fmt.Errorf("is %q, want %s%s", clip(f.got), orList(f.known), didYouMean(f.got, f.known))
		}
	}
	if l.Hot < 0 || l.Hot >= 1 || math.IsNaN(l.Hot) {
		wrong["hot"] = fmt.Errorf("is %v, want a share of all requests: 0 or more, and less than 1", l.Hot)
	}
	if l.Weight < 0 || l.Weight > 1000 {
		wrong["weight"] = fmt.Errorf("is %d, want 1 to 1000", l.Weight)
	}
	parsed, err := bucket.ParseLimit(l.Limit)
	if err != nil {
		wrong["limit"] = err
		return wrong
	}
	if l.Cost < 0 || l.Cost > parsed.Burst {
		wrong["cost"] = fmt.Errorf("is %d, want 1 to the burst, %d", l.Cost, parsed.Burst)
	}
	switch per := max(1, float64(parsed.Per)); {
	case parsed.Window != bucket.None:
		wrong["limit"] = fmt.Errorf("%q is a window, want a steady rate or a quota that is never refilled: windows begin by the node's clock, which the judge does not see", l.Limit)
	case float64(parsed.Tokens)*float64(run) > math.MaxInt64/8, float64(parsed.Burst)*per > math.MaxInt64/64:
		wrong["limit"] = fmt.Errorf("%q is too large for the judge's arithmetic, want fewer tokens or a shorter period", l.Limit)
	}
	return wrong
}

// deeds are what a step can do.
func deeds() []string {
	return []string{Join, Leave, Kill, Restart, Pause, Cut, Heal, Flap, Rolling}
}

// nameForm is what a node can be called: short enough for the name of a network, too.
var nameForm = regexp.MustCompile(`^[a-z][a-z0-9-]{0,15}$`)

// flaw returns what is wrong with s in itself, and the field.
func (s Step) flaw(p Plan, cuts bool) (field string, err error) {
	if !slices.Contains(deeds(), s.Do) {
		return "do", fmt.Errorf("is %q, want %s%s", clip(s.Do), orList(deeds()), didYouMean(s.Do, deeds()))
	}
	if s.At < 0 || s.At > p.Duration || s.At != 0 && s.At < time.Millisecond {
		return "at", fmt.Errorf("is %v, want a duration from 0s to that of the plan, %v, such as 5s", s.At, p.Duration)
	}
	cutting := s.Do == Cut || s.Do == Flap
	if (cutting || s.Do == Heal) && !cuts {
		return "do", errors.New(needsNetworks)
	}
	switch wantsNode := s.Do != Join && s.Do != Heal && s.Do != Rolling; {
	case s.Node != "" && !nameForm.MatchString(s.Node):
		return "node", fmt.Errorf("is %q, want 1 to 16 small letters, digits and hyphens, such as b", clip(s.Node))
	case s.Node != "" && s.HolderOf != "":
		return "holder-of", errors.New("stands beside node, want one of them")
	case wantsNode && s.Node == "" && s.HolderOf == "":
		return "do", fmt.Errorf("%s of whom? want node: NAME, node: any or holder-of: KEY", s.Do)
	case !wantsNode && s.HolderOf != "", (s.Do == Heal || s.Do == Rolling) && s.Node != "", s.Do == Join && s.Node == Any:
		return "do", fmt.Errorf("%s takes no %s", s.Do, either(s.HolderOf != "", "holder-of", "node "+clip(s.Node)))
	case s.HolderOf != "" && !p.hasKey(s.HolderOf):
		return "holder-of", fmt.Errorf("is %q, want a key from k0 to k%d", clip(s.HolderOf), p.Keys-1)
	}
	return s.flawedOptions(p, cutting)
}

// flawedOptions is flaw for the fields that only some deeds have.
func (s Step) flawedOptions(p Plan, cutting bool) (field string, err error) {
	lasts := s.Do == Pause || s.Do == Flap
	switch {
	case lasts && (s.For < time.Millisecond || s.At+s.For > p.Duration):
		return "for", fmt.Errorf("is %v, want how long the %s lasts, such as 2s, with its end inside the plan's %v", s.For, s.Do, p.Duration)
	case !lasts && s.For != 0:
		return "for", fmt.Errorf("%s takes no for", s.Do)
	case s.Do == Flap && (s.Every < 100*time.Millisecond || s.Every > s.For):
		return "every", fmt.Errorf("is %v, want how often the flap cuts, from 100ms to its for, %v", s.Every, s.For)
	case s.Do != Flap && s.Every != 0:
		return "every", fmt.Errorf("%s takes no every", s.Do)
	case s.Do != Restart && s.How != "":
		return "how", fmt.Errorf("%s takes no how", s.Do)
	case s.Do == Restart && !slices.Contains([]string{"", Kill, Leave}, s.How):
		return "how", fmt.Errorf("is %q, want kill or leave", clip(s.How))
	case !cutting && len(s.With) > 0:
		return "with", fmt.Errorf("%s takes no with", s.Do)
	case !cutting && (len(s.To) > 0 || s.OneWay):
		return either(s.OneWay, "one_way", "to"), fmt.Errorf("%s takes no %s", s.Do, either(s.OneWay, "one_way", "to"))
	case slices.Contains(s.To, s.Node):
		return "to", fmt.Errorf("has %s, which is node: a node is not cut off from itself", s.Node)
	}
	if i := slices.IndexFunc(s.With, func(n string) bool { return slices.Contains(s.To, n) }); i >= 0 {
		return "with", fmt.Errorf("has %s, and to has it too: a node is on one side of a cut", clip(s.With[i]))
	}
	return "", nil
}

// hasKey says whether k is one of p's keys.
func (p Plan) hasKey(k string) bool {
	var n int
	_, err := fmt.Sscanf(k, "k%d", &n)
	return err == nil && n >= 0 && n < p.Keys && k == keyName(n)
}

// keyName returns the name of the i-th key.
func keyName(i int) string { return fmt.Sprintf("k%d", i) }

// didYouMean returns ", did you mean X?" for the one of known that word is most likely a slip of, "" if it is like none.
func didYouMean(word string, known []string) string {
	if near := nearest.To(word, known, 3); near != "" {
		return fmt.Sprintf(", did you mean %s?", near)
	}
	return ""
}

// orList returns words as a choice.
func orList(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// clip returns s short enough to be shown.
func clip(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "..."
	}
	return s
}
