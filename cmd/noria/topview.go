package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/transport/console"
)

// narrow is the width below which the columns that matter least are left out.
const narrow = 96

// View implements tea.Model.
func (s *screen) View() string {
	lines := []string{s.title()}
	switch {
	case s.down != nil:
		lines = append(lines, s.paint.red(printable(s.down.err.Error())), s.retry())
		if s.state == nil {
			break
		}
		lines = append(lines, s.paint.yellow("What follows is what it said last."))
		fallthrough
	case s.state != nil:
		lines = append(lines, s.body(s.height-len(lines))...)
	default:
		lines = append(lines, "Asking "+s.admin+" ...")
	}
	for i := range lines {
		lines[i] = ansi.Truncate(lines[i], s.width, "…")
	}
	return strings.Join(lines[:min(len(lines), max(s.height, 1))], "\n")
}

// retry says when the next try is.
func (s *screen) retry() string {
	clock := time.Now
	if s.now != nil {
		clock = s.now
	}
	if left := s.down.next.Sub(clock()).Round(time.Second); left > 0 {
		return fmt.Sprintf("Trying again in %v.", left)
	}
	return "Trying again."
}

// title is the first line.
func (s *screen) title() string {
	name, right := "noria top  "+s.admin, "q quits"
	if s.state != nil {
		name = fmt.Sprintf("noria top  %s, as %s sees it", s.state.Label, s.state.Node)
		right = summary(s.state) + "   " + right
	}
	if s.down != nil {
		right = "no connection   q quits"
	}
	return s.bar(name, right)
}

// bar is a line with something at both ends.
func (s *screen) bar(left, right string) string {
	left = ansi.Truncate(left, max(s.width-ansi.StringWidth(right)-1, 10), "…")
	space := max(s.width-ansi.StringWidth(left)-ansi.StringWidth(right), 1)
	return s.paint.bold(left) + strings.Repeat(" ", space) + right
}

// summary says how a fleet is.
func summary(st *console.State) string {
	sick, gone, here := 0, 0, 0
	for i := range st.Members {
		switch h := st.Members[i].Health; {
		case h.Gone():
			gone++
			continue
		case h == console.Silent || h == console.Cut:
			sick++
		}
		here++
	}
	switch {
	case !st.Ready:
		return "not joined yet"
	case sick > 0:
		return fmt.Sprintf("%d of %d members in trouble", sick, here)
	case st.Unheld > 0:
		return count(st.Unheld) + " partitions without a holder"
	case st.Moving > 0:
		return count(st.Moving) + " partitions moving"
	case gone > 0:
		return fmt.Sprintf("%d members, %d gone", here, gone)
	case here == 1:
		return "1 member, well"
	}
	return fmt.Sprintf("%d members, all well", here)
}

// body is all but the title, in at most that many lines.
func (s *screen) body(room int) []string {
	st := s.state
	if !st.Ready {
		return []string{"The node has not joined yet."}
	}
	lines := []string{s.rates(), s.partitions(), ""}
	members := s.members()
	// Half of what is left is for members at least; hot keys and events share the rest.
	most := max(room-len(lines)-9, (room-len(lines))/2)
	if len(members) > most && most > 1 {
		hidden := len(members) - most + 1
		members = append(members[:most-1], fmt.Sprintf("and %d more", hidden))
	}
	lines = append(append(lines, members...), "")
	rest := room - len(lines)
	hot, told := s.hot(), s.events()
	half := max(rest/2, 2)
	keep := min(len(hot), max(half, rest-len(told)-1))
	lines = append(lines, hot[:keep]...)
	if rest = room - len(lines) - 1; rest > 1 {
		lines = append(append(lines, ""), told[:min(len(told), rest)]...)
	}
	return lines[:min(len(lines), max(room, 0))]
}

// rates is the line of decisions.
func (s *screen) rates() string {
	r := s.state.Rates
	degraded := perSecond(r.Degraded) + " degraded"
	if r.Degraded >= 0.05 {
		degraded = s.paint.in("35", degraded)
	}
	text := fmt.Sprintf("decisions/s  %s   %s   %s   %s  ", s.paint.bold(perSecond(r.Sum())),
		s.paint.green(perSecond(r.Allowed)+" allowed"), s.paint.yellow(perSecond(r.Denied)+" denied"), degraded)
	return text + spark(s.sums, max(0, s.width-ansi.StringWidth(text)))
}

// partitions is the line of partitions and policies.
func (s *screen) partitions() string {
	st := s.state
	keys := 0
	for i := range st.Members {
		keys += st.Members[i].Keys
	}
	text := fmt.Sprintf("partitions   %s held of %s", count(st.Partitions-st.Unheld), count(st.Partitions))
	if st.Moving > 0 {
		text += ", " + s.paint.yellow(count(st.Moving)+" moving")
	}
	text += "   buckets " + count(keys)
	if st.Policies > 1 {
		text += "   " + s.paint.yellow(fmt.Sprintf("%d different policies", st.Policies))
	}
	return text
}

// members are the lines of the members, with a head.
func (s *screen) members() []string {
	st := s.state
	wide := s.width >= narrow
	long := len("MEMBER")
	for i := range st.Members {
		long = max(long, ansi.StringWidth(string(st.Members[i].ID)))
	}
	long = min(long, max(s.width-64, 10))
	bars := 10
	if wide {
		bars = 14
	}
	head := fmt.Sprintf("%s %-13s %10s  %-*s %9s  %-*s %8s", pad("MEMBER", long), "HEALTH", "PARTITIONS", bars, "", "DECIS./S", bars/2, "", "KEYS")
	if wide {
		head += fmt.Sprintf(" %9s  %-8s %-8s %s", "FOR PEERS", "POLICY", "UP", "VERSION")
	}
	lines := []string{s.paint.bold(head)}
	most, part := 1.0, 1
	for i := range st.Members {
		most, part = max(most, st.Members[i].Rates.Sum()), max(part, st.Members[i].Held)
	}
	for i := range st.Members {
		m := &st.Members[i]
		line := fmt.Sprintf("%s %s %10s  %s %9s  %s %8s", pad(string(m.ID), long), s.health(m), unlessGone(m, count(m.Held)),
			meter(float64(m.Held)/float64(part), bars), unlessGone(m, perSecond(m.Rates.Sum())), meter(m.Rates.Sum()/most, bars/2), unlessGone(m, count(m.Keys)))
		if wide {
			line += fmt.Sprintf(" %9s  %-8s %-8s %s", unlessGone(m, perSecond(m.Peers)), ansi.Truncate(orNone(m.Policy), 8, ""), unlessGone(m, up(m.Uptime)), m.Version)
		}
		lines = append(lines, line)
	}
	return lines
}

// up writes how long a node runs, in a word.
func up(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd", int(d.Hours())/24)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	case d >= time.Minute:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	}
	return fmt.Sprintf("%ds", int(d.Seconds()))
}

// unlessGone is text, or a dash for who is gone.
func unlessGone(m *console.Member, text string) string {
	if m.Health.Gone() {
		return "-"
	}
	return text
}

// healthText says how a member is, in a word or two.
func healthText(h console.Health) string {
	switch h {
	case console.Moving:
		return "moving in"
	case console.Draining:
		return "leaving"
	case console.Cut:
		return "cut off"
	case console.Silent:
		return "no answer"
	case console.Unknown:
		return "older version"
	case console.Dead:
		return "gone"
	case console.Well, console.Joining, console.Left:
	}
	return string(h)
}

func (s *screen) health(m *console.Member) string {
	text := pad(healthText(m.Health), 13)
	switch m.Health {
	case console.Well:
		return s.paint.green(text)
	case console.Dead, console.Cut, console.Silent:
		return s.paint.red(text)
	case console.Unknown, console.Left:
		return text
	case console.Moving, console.Joining, console.Draining:
	}
	return s.paint.yellow(text)
}

// hot are the lines of the hot keys, with a head.
func (s *screen) hot() []string {
	st := s.state
	if !st.Admin {
		return []string{s.paint.bold("HOT KEYS"), "are for admins: give --token-file FILE, or --secure DIR"}
	}
	if len(st.Hot) == 0 {
		return []string{s.paint.bold("HOT KEYS"), "none is asked for often enough to be counted"}
	}
	long := max(s.width-44, 20)
	lines := []string{s.paint.bold(fmt.Sprintf("%s %9s  %s", pad("HOT KEYS", long), "A SECOND", "ANSWERED BY"))}
	for _, k := range st.Hot {
		lines = append(lines, fmt.Sprintf("%s %9s  %s", pad(printable(k.Key), long), perSecond(k.Rate), answered(k)))
	}
	return lines
}

// answered says who answers for k.
func answered(k cluster.HotKey) string {
	part := func(n float64) string { return fmt.Sprintf("%.0f%%", 100*n/max(k.Rate, 0.001)) }
	var by []string
	if held := k.Rate - k.Leased - k.Denied; held/max(k.Rate, 0.001) >= 0.005 {
		by = append(by, "holder "+part(held))
	}
	if k.Leased > 0 {
		by = append(by, "leases "+part(k.Leased))
	}
	if k.Denied > 0 {
		by = append(by, "denials "+part(k.Denied))
	}
	return strings.Join(by, ", ")
}

// events are the lines of what happened, the newest first, with a head.
func (s *screen) events() []string {
	lines := []string{s.paint.bold("WHAT HAPPENED")}
	for i := len(s.told) - 1; i >= 0; i-- {
		lines = append(lines, s.told[i].At.In(s.zone).Format("15:04:05")+"  "+printable(s.told[i].Text))
	}
	if len(lines) == 1 {
		lines = append(lines, "nothing yet")
	}
	return lines
}

// pad returns s in just that width.
func pad(s string, width int) string {
	s = ansi.Truncate(s, width, "…")
	return s + strings.Repeat(" ", max(0, width-ansi.StringWidth(s)))
}

// meter draws a share of that width.
func meter(share float64, width int) string {
	eighths := int(math.Round(min(max(share, 0), 1) * float64(width) * 8))
	full, part := eighths/8, eighths%8
	bar := strings.Repeat("█", full)
	if part > 0 {
		bar += string([]rune("▏▎▍▌▋▊▉")[part-1])
	}
	return pad(bar, width)
}

// spark draws the last values in that width.
func spark(values []float64, width int) string {
	values = values[max(0, len(values)-width):]
	most := 0.0
	for _, v := range values {
		most = max(most, v)
	}
	if most == 0 {
		return ""
	}
	var b strings.Builder
	for _, v := range values {
		b.WriteRune([]rune("▁▂▃▄▅▆▇█")[min(7, int(v/most*7.99))])
	}
	return b.String()
}

// perSecond writes a rate with as many digits as say something.
func perSecond(n float64) string {
	switch {
	case n >= 9_999_500:
		return fmt.Sprintf("%.1fM", n/1e6)
	case n >= 999_950:
		return fmt.Sprintf("%.2fM", n/1e6)
	case n >= 99_999.5:
		return fmt.Sprintf("%.0fk", n/1e3)
	case n >= 9.95:
		return count(int64(math.Round(n)))
	case n > 0.04:
		return fmt.Sprintf("%.1f", n)
	}
	return "0"
}
