package chaos

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"time"
)

// A Span is a time of a run.
type Span struct{ From, To time.Duration }

const (
	stolenTick  = 100 * time.Millisecond
	stolenShare = 4 // of the time of all processors: one of so many parts is what nodes feel
)

// procStat is where Linux counts what its processors do.
const procStat = "/proc/stat"

// A processors is what the processors of this machine have done since it started, in ticks of 10 ms.
type processors struct {
	count  int    // of processors
	stolen uint64 // in which the host of this virtual machine let others have them
	all    uint64
}

// readProcessors reads a file like /proc/stat, which begins with a line of all processors (user, nice, system, idle, iowait,
// irq, softirq, steal) and has then one for each.
func readProcessors(path string) (p processors, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return p, err
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	words := bytes.Fields(line)
	if len(words) < 9 || string(words[0]) != "cpu" {
		return p, fmt.Errorf("%s: no line of all processors", path)
	}
	for i, word := range words[1:9] {
		n, err := strconv.ParseUint(string(word), 10, 64)
		if err != nil {
			return p, fmt.Errorf("%s: %w", path, err)
		}
		if p.all += n; i == 7 {
			p.stolen = n
		}
	}
	p.count = bytes.Count(text, []byte("\ncpu"))
	return p, nil
}

// watchProcessors notes until ctx ends when the host of this virtual machine withholds a good part of its processors. Where
// that is not told, as on real machines and other systems, it notes nothing.
func (m *meter) watchProcessors(ctx context.Context) {
	tick := time.NewTicker(stolenTick)
	defer tick.Stop()
	was, err := readProcessors(procStat)
	for from := time.Since(m.base); err == nil; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var is processors
		if is, err = readProcessors(procStat); err == nil { // else it is not what they have done
			to := time.Since(m.base)
			m.processed(was, is, from, to)
			was, from = is, to
		}
	}
}

// processed notes what the processors did meanwhile.
func (m *meter) processed(was, is processors, from, to time.Duration) {
	stolen, all := is.stolen-was.stolen, is.all-was.all
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stolen.stolen += stolen
	m.stolen.all += all
	ticks := uint64(is.count) * uint64((to-from)/(10*time.Millisecond))
	if 2*all < ticks || all == 0 || stolen*stolenShare < all || len(m.withheld) == maxRests {
		return // with too few ticks it is no real clock that runs here
	}
	if last := len(m.withheld) - 1; last >= 0 && m.withheld[last].To == from {
		m.withheld[last].To = to
		return
	}
	m.withheld = append(m.withheld, Span{from, to})
}

// stole returns when processors were withheld, and which part of their time was in all.
func (m *meter) stole() (spans []Span, part float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.withheld, float64(m.stolen.stolen) / float64(max(m.stolen.all, 1))
}

// withheld says whether r waited while processors were withheld, or just after.
func (h *History) withheld(r Record) bool {
	for _, s := range h.Withheld {
		if r.Called <= s.To+stolenTick && r.Returned >= s.From {
			return true
		}
	}
	return false
}
