package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/spf13/cobra"

	"github.com/noriahq/noria/transport/console"
)

// newTop returns the command top.
func newTop(p *process) *cobra.Command {
	var c client
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch a fleet live in the terminal",
		Long: `Shows the members with their health and load, decisions a second, partitions that move, hot keys and what happened, as the
asked node and the others through it tell it. Keys are shown to admins: who is on the node's machine, or shows a token
where the node wants one.

q, Esc and Ctrl-C end it. A connection that breaks is opened again. With --output json it prints the state of the fleet
each second, one JSON object a line, until SIGINT.`,
		Example: `  noria top
  noria top --admin 127.0.0.1:8092
  noria top --output json | jq .rates`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.out.format == "json" {
				return c.states(cmd.Context(), p)
			}
			if !isTerminal(p.stdout) {
				return usagef("the output is no terminal: want --output json")
			}
			return c.top(cmd.Context(), p)
		},
	}
	shared := section{flags: cmd.Flags(), name: "client"}
	c.addAdmin(shared)
	c.addCommon(shared)
	return cmd
}

// states prints states as JSON until ctx ends.
func (c *client) states(ctx context.Context, p *process) error {
	enc := json.NewEncoder(p.stdout)
	enc.SetEscapeHTML(false)
	return c.keepTelling(ctx, p, "/console/live", func(s said) error {
		if s.event != "state" {
			return nil
		}
		return enc.Encode(s.state)
	})
}

// top runs the screen until somebody ends it.
func (c *client) top(ctx context.Context, p *process) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	screen := &screen{admin: c.admin, paint: paint(p.coloured()), width: 80, height: 24, zone: time.Local}
	program := tea.NewProgram(screen, tea.WithAltScreen(), tea.WithContext(ctx), tea.WithInput(os.Stdin), tea.WithOutput(p.stdout), tea.WithoutSignalHandler())
	fatal := make(chan error, 1)
	go func() {
		fatal <- c.keep(ctx, "/console/live?back=20", func(s said) error {
			program.Send(s)
			return nil
		}, func(err error, wait time.Duration) error {
			program.Send(outage{err, time.Now().Add(wait)})
			return nil
		})
		program.Quit()
	}()
	_, err := program.Run()
	stop()
	if broke := <-fatal; broke != nil {
		return broke
	}
	if err != nil && !errors.Is(err, tea.ErrProgramKilled) {
		return &exit{status: statusFailed, err: err}
	}
	if screen.state == nil && screen.down != nil {
		return screen.down.err
	}
	return nil
}

// An outage is why there is no connection, and when the next try is.
type outage struct {
	err  error
	next time.Time
}

// A tick is a moment in which what is written of time has become wrong.
type tick struct{}

func nextTick() tea.Cmd {
	return tea.Tick(time.Second, func(time.Time) tea.Msg { return tick{} })
}

// Init implements tea.Model.
func (s *screen) Init() tea.Cmd { return nextTick() }

// Update implements tea.Model.
func (s *screen) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.KeyMsg:
		switch msg.String() {
		case "q", "Q", "esc", "ctrl+c":
			return s, tea.Quit
		}
	case tea.WindowSizeMsg:
		s.width, s.height = msg.Width, msg.Height
	case said:
		s.take(msg)
	case outage:
		s.down = &msg
	case tick:
		return s, nextTick()
	}
	return s, nil
}

// take notes what a stream says.
func (s *screen) take(m said) {
	s.down = nil
	switch m.event {
	case "state":
		state := m.state
		s.state = &state
		if state.Ready {
			s.sums = append(s.sums, state.Rates.Sum())
			s.sums = s.sums[max(0, len(s.sums)-sumsKept):]
		}
	case "events":
		for _, e := range m.told {
			if s.known.isNew(e) { // what a new connection begins with was told before
				s.told = append(s.told, e)
			}
		}
		s.told = s.told[max(0, len(s.told)-toldShown):]
	}
}

const (
	sumsKept  = 300
	toldShown = 100
)

// A screen is what top shows. Its View is a function of its fields alone.
type screen struct {
	admin         string // address
	paint         paint
	width, height int

	state *console.State // nil before the first
	down  *outage        // nil while there is a connection
	sums  []float64      // decisions a second, the newest last
	told  []console.Told // the newest last
	known known          // of them, and of earlier ones
	zone  *time.Location // of times of day
	now   func() time.Time
}
