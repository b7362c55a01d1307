package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/transport/console"
)

// topState is a fleet of three of which one has just died.
func topState() console.State {
	return console.State{
		Node: "ams-1", Label: "shop", Ready: true, Partitions: 16384, Moving: 2664, Unheld: 120, Policies: 1, Admin: true,
		Rates: console.Rates{Allowed: 8210, Denied: 1034.4, Degraded: 12.3},
		Members: []console.Member{
			{ID: "ams-1", Role: cluster.RoleHolder, Version: "v1.4.0", Health: console.Well, Self: true, Targets: 8397, Held: 8397, Rates: console.Rates{Allowed: 4100, Denied: 500}, Peers: 2300, Keys: 102_331, Uptime: 26 * time.Hour},
			{ID: "ams-2", Role: cluster.RoleHolder, Version: "v1.4.0", Health: console.Moving, Wanted: 2544, Targets: 7987, Held: 5323, Rates: console.Rates{Allowed: 4110, Denied: 534.4, Degraded: 12.3}, Peers: 2210, Keys: 98_120, Uptime: 3 * time.Minute},
			{ID: "fra-1", Role: cluster.RoleHolder, Health: console.Dead, Why: "it is gone without a word"},
		},
		Hot: []cluster.HotKey{{Key: "tenant:42", Rate: 812.4, Leased: 400}, {Key: "ip:\x1b[2J198.51.100.7", Rate: 73.2, Denied: 60}, {Key: "日本語のキー", Rate: 9.6}},
	}
}

// topScreen is a screen of that size that has heard topState.
func topScreen(width, height int) *screen {
	s := &screen{admin: "127.0.0.1:8082", width: width, height: height, zone: time.UTC, now: func() time.Time { return time.Unix(1000, 0) }}
	s.take(said{event: "state", state: topState()})
	for i := range 40 {
		s.sums = append(s.sums, float64(9000+i*i%700))
	}
	var told []console.Told
	for i := range 30 {
		told = append(told, console.Told{Event: cluster.Event{At: time.Unix(int64(i), 0).In(time.UTC)}, Text: fmt.Sprintf("event %d", i)})
	}
	s.take(said{event: "events", told: told})
	return s
}

// The screen is as it was looked at, in a terminal of 80 columns and 24 lines and in a large one.
func TestTopScreens(t *testing.T) {
	golden(t, "top/80x24.txt", topScreen(80, 24).View()+"\n")
	golden(t, "top/140x40.txt", topScreen(140, 40).View()+"\n")
	s := topScreen(80, 24)
	s.Update(outage{errors.New("node at 127.0.0.1:8082: connect: connection refused"), time.Unix(1004, 0)})
	golden(t, "top/lost.txt", s.View()+"\n")
}

// However small or large the terminal is, nothing is wider or longer than it, and nothing in a key moves its cursor.
func TestTopFits(t *testing.T) {
	for width := 20; width <= 200; width += 7 {
		for height := 3; height <= 60; height += 3 {
			s := topScreen(80, 24)
			s.Update(tea.WindowSizeMsg{Width: width, Height: height})
			s.paint = true
			lines := strings.Split(s.View(), "\n")
			if len(lines) > height {
				t.Fatalf("%dx%d: %d lines", width, height, len(lines))
			}
			for _, line := range lines {
				if got := ansi.StringWidth(line); got > width {
					t.Fatalf("%dx%d: a line is %d wide: %q", width, height, got, line)
				}
				if strings.Contains(line, "\x1b[2J") {
					t.Fatalf("%dx%d: a key clears the screen: %q", width, height, line)
				}
			}
		}
	}
}

// q ends it, and so do Esc and Ctrl-C; other keys do not. When there is a connection again what is shown is live again.
func TestTopKeys(t *testing.T) {
	s := topScreen(80, 24)
	for _, k := range []tea.KeyMsg{{Type: tea.KeyRunes, Runes: []rune("q")}, {Type: tea.KeyEsc}, {Type: tea.KeyCtrlC}} {
		if _, cmd := s.Update(k); cmd == nil || cmd() != tea.Quit() {
			t.Errorf("%s does not end it", k)
		}
	}
	if _, cmd := s.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("x")}); cmd != nil {
		t.Error("x does something")
	}
	s.Update(outage{errors.New("gone"), time.Unix(0, 0)})
	s.Update(said{event: "beat"})
	if strings.Contains(s.View(), "no connection") {
		t.Error("it says that there is no connection though there is one")
	}
}
