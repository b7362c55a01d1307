package cost

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// A table of cluster/COST.md.
type table struct {
	name string
	head []string
	rows [][]string
}

// String returns the table in Markdown. The first column is text, the others are figures.
func (t *table) String() string {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(t.head)
	rule := slices.Repeat([]string{"---:"}, len(t.head))
	rule[0] = "---"
	line(rule)
	for _, r := range t.rows {
		line(r)
	}
	return b.String()
}

// row appends a row.
func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

// usual returns a fleet under the load of the page: 1,000 checks a second at each node, of as many keys as a node has checks.
func usual(holders, gateways int, keys float64) Fleet {
	n := float64(holders + gateways)
	return Fleet{
		Holders: holders, Gateways: gateways, Partitions: Ring, Keys: keys, Checks: 1000 * n, Active: min(keys, 1000*n), KeyLen: 16, NameLen: 28,
	}
}

// sizes are the fleets of the page.
func sizes() [][2]int {
	return [][2]int{{3, 0}, {10, 0}, {30, 0}, {100, 0}, {300, 0}, {1000, 0}, {3, 7}, {5, 25}, {10, 90}, {20, 280}, {30, 970}}
}

// Tables returns the tables of cluster/COST.md by their names.
func Tables() map[string]string {
	all := map[string]string{}
	for _, t := range []table{checks(), quiet(), load(), moves(), memory(), mesh()} {
		all[t.name] = t.String()
	}
	return all
}

// crew names a fleet.
func crew(s [2]int) string {
	if s[1] == 0 {
		return fmt.Sprint(s[0], " holders")
	}
	return fmt.Sprint(s[0], " holders, ", s[1], " gateways")
}

func checks() table {
	t := table{name: "checks", head: []string{"fleet", "decided where it is asked", "forwarded", "streams", "of a holder", "of a gateway"}}
	for _, s := range sizes() {
		f := usual(s[0], s[1], 1e6)
		t.row(crew(s), percent(f.Local()), percent(1-f.Local()), figure(float64(f.Streams())), figure(float64(f.HolderStreams())), gatewayOnly(f, figure(float64(f.GatewayStreams()))))
	}
	return t
}

func quiet() table {
	t := table{name: "quiet", head: []string{
		"fleet", "beats sent and heard by a holder", "bytes of these", "beats of a gateway", "gossip packets", "bytes of these", "bytes to compare all", "bytes at each join, once",
	}}
	for _, s := range sizes() {
		f := usual(s[0], s[1], 1e6)
		t.row(crew(s), figure(f.Beats()+f.Heard()), size(f.BeatBytes()), gatewayOnly(f, figure(f.Calls())), figure(f.Packets()), size(f.PacketBytes()), size(f.ExchangeBytes()), size(f.NewsBytes()))
	}
	return t
}

func load() table {
	t := table{name: "load", head: []string{"fleet", "changed keys of a holder", "messages to heirs", "bytes of these", "heirs", "checks forwarded to a holder", "bytes of these"}}
	for _, s := range sizes() {
		f := usual(s[0], s[1], 1e8)
		in := f.Forwarded() / float64(f.Holders)
		t.row(crew(s), figure(f.Changed()*perSecond(Tick)), figure(f.Replicas()), size(f.ReplicaBytes()), figure(f.Heirs()), figure(in), size(in*f.CheckBytes(1)))
	}
	return t
}

func moves() table {
	t := table{name: "moves", head: []string{"fleet", "keys", "partitions a holder", "partitions that move at a join", "buckets that move", "bytes, with replicas", "moved within", "replicas whole within", "claims", "bytes of claims"}}
	for _, s := range sizes() {
		for _, keys := range []float64{1e6, 1e9} {
			f := usual(s[0], s[1], keys)
			c := f.Join()
			t.row(crew(s), figure(keys), figure(f.PartitionsOf()), figure(c.Moved), figure(c.MovedKeys), size(c.Bytes), lasting(c.Within), lasting(c.Whole), figure(c.Claims), size(c.Wire))
		}
	}
	return t
}

func memory() table {
	t := table{name: "memory", head: []string{"fleet", "10^6 keys", "10^7 keys", "10^8 keys", "10^9 keys", "a gateway"}}
	for _, s := range sizes() {
		cells := []string{crew(s)}
		for _, keys := range []float64{1e6, 1e7, 1e8, 1e9} {
			cells = append(cells, size(usual(s[0], s[1], keys).HolderMemory()))
		}
		f := usual(s[0], s[1], 1e6)
		t.row(append(cells, gatewayOnly(f, size(f.GatewayMemory())))...)
	}
	return t
}

// beatTime is how long a beat and its answer took one core, in seconds, at both ends together. No test checks it.
const beatTime = 50e-6

func mesh() table {
	t := table{name: "mesh", head: []string{"fleet", "beats, of a core of a holder", "memory for its streams", "claims at each join, over all"}}
	for _, s := range sizes() {
		f := usual(s[0], s[1], 1e6)
		t.row(crew(s), percent((f.Beats()+f.Heard())*beatTime/2), size(float64(f.HolderStreams())*EndBytes), size(f.Join().Wire))
	}
	return t
}

// gatewayOnly returns text where f has gateways.
func gatewayOnly(f Fleet, text string) string {
	if f.Gateways == 0 {
		return ""
	}
	return text
}

func percent(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) }

// figure returns x with two digits that count, or more where it is a whole number below 10,000.
func figure(x float64) string {
	if x >= 1e4 && x != math.Trunc(x) || x >= 1e7 {
		unit := math.Pow(10, math.Floor(math.Log10(x))-1)
		x = math.Round(x/unit) * unit
	}
	switch {
	case x < 10 && x != math.Trunc(x):
		return fmt.Sprintf("%.1f", x)
	default:
		return grouped(fmt.Sprintf("%.0f", x))
	}
}

// grouped writes commas between thousands.
func grouped(digits string) string {
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// lasting returns seconds in a unit in which they are read.
func lasting(seconds float64) string {
	switch {
	case seconds >= 600:
		return fmt.Sprintf("%.0f min", seconds/60)
	case seconds >= 10:
		return fmt.Sprintf("%.0f s", seconds)
	}
	return fmt.Sprintf("%.1f s", seconds)
}

// size returns bytes in a unit in which they are read.
func size(bytes float64) string {
	for _, u := range []struct {
		name string
		of   float64
	}{{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}} {
		if bytes >= u.of {
			return fmt.Sprintf("%.3g %s", bytes/u.of, u.name)
		}
	}
	return fmt.Sprintf("%.0f B", bytes)
}
