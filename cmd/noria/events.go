package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/noriahq/noria/cluster"
	"github.com/noriahq/noria/ring"
	"github.com/noriahq/noria/transport/console"
)

// newEvents returns the command events.
func newEvents(p *process) *cobra.Command {
	var (
		c    client
		back int
		list bool
	)
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Follow who joins, leaves and dies, and which partitions move",
		Long: `Prints each change of the membership as the asked node sees it, and each change of who holds what as the nodes that
took part tell it, one a line, until SIGINT. A connection that breaks is opened again, and nothing is told twice.`,
		Example: `  noria events
  noria events --back 100 --list --output json
  noria events --admin 127.0.0.1:8092`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			f := &follower{out: p.stdout, paint: p.paint(p.stdout), json: c.out.format == "json", list: list}
			path := "/console/live?only=events&back=" + strconv.Itoa(back)
			var err error
			if list {
				err = c.keep(cmd.Context(), path, f.take, func(err error, _ time.Duration) error { return err })
			} else {
				err = c.keepTelling(cmd.Context(), p, path, f.take)
			}
			if errors.Is(err, errListed) || errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		},
	}
	own := section{flags: cmd.Flags(), name: "events"}
	own.add("back", "back", "`NUMBER` of earlier events to begin with", of(&back, "number", "20", whole(0, 500)))
	own.toggle("list", "list", "print the earlier events and end", &list)
	shared := section{flags: cmd.Flags(), name: "client"}
	c.addAdmin(shared)
	c.addCommon(shared)
	return cmd
}

// errListed ends a stream of which only the beginning was asked for.
var errListed = errors.New("all are listed")

// eventID tells apart the events of a fleet.
type eventID struct {
	node ring.Member
	seq  uint64
	at   int64
}

// A follower prints events.
type follower struct {
	out   io.Writer
	paint paint
	json  bool
	list  bool
	known known
}

// knownMost is how many events are remembered, so as not to be told twice: more than a stream begins with.
const knownMost = 10_000

// known are events that were told already.
type known map[eventID]bool

// isNew says whether e was not told before, and notes it.
func (k *known) isNew(e console.Told) bool {
	id := eventID{e.Node, e.Seq, e.At.UnixNano()}
	if (*k)[id] {
		return false
	}
	if *k == nil || len(*k) >= knownMost {
		*k = known{}
	}
	(*k)[id] = true
	return true
}

// take prints what is new in s.
func (f *follower) take(s said) error {
	switch s.event {
	case "lost":
		if !f.json {
			fmt.Fprintf(f.out, "%s\n", f.paint.yellow(fmt.Sprintf("%d events came faster than they were read", s.lost)))
		}
	case "caught":
		if f.list {
			return errListed
		}
	case "events":
		for _, e := range s.told {
			if !f.known.isNew(e) {
				continue
			}
			if err := f.print(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// print prints e on a line.
func (f *follower) print(e console.Told) error {
	if f.json {
		enc := json.NewEncoder(f.out)
		enc.SetEscapeHTML(false)
		return enc.Encode(e)
	}
	text := printable(e.Text)
	switch e.Kind {
	case cluster.EventDead, cluster.EventFenced, cluster.EventSilenced, cluster.EventCold:
		text = f.paint.red(text)
	case cluster.EventJoined, cluster.EventBack, cluster.EventHeard:
		text = f.paint.green(text)
	case cluster.EventDraining, cluster.EventLeft, cluster.EventPromoted, cluster.EventGivenUp, cluster.EventPolicy:
		text = f.paint.yellow(text)
	case cluster.EventTakenIn, cluster.EventHandedOver, cluster.EventFounded:
	}
	_, err := fmt.Fprintf(f.out, "%s  %s\n", e.At.Local().Format("15:04:05.000"), text)
	return err
}
