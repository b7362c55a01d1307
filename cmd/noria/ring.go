package main

import (
	"fmt"
	"io"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/noriahq/noria/ring"
)

// newRing returns the command ring.
func newRing(p *process) *cobra.Command {
	var c client
	cmd := &cobra.Command{
		Use:   "ring [KEY]...",
		Short: "Show which node holds a key, or how the keys are shared out",
		Long: `Shows where keys live: their partition, the target (which node should hold it), the holder (which node does), the heir
(which one would be the target without the holder) and the term, which counts holders. Without a key it shows how many
partitions each node is the target of.`,
		Example: `  noria ring
  noria ring user:42 user:43 --admin 127.0.0.1:8092`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > maxRingKeys {
				return usagef("%d keys, want at most %d\n%s", len(args), maxRingKeys, seeHelp(cmd))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "/ring"
			if len(args) > 0 {
				path += "?" + url.Values{"key": args}.Encode()
			}
			var a ringAnswer
			if err := c.get(cmd.Context(), path, &a); err != nil {
				return err
			}
			return c.out.print(p.stdout, a, a.text)
		},
	}
	shared := section{flags: cmd.Flags(), name: "client"}
	c.addAdmin(shared)
	c.addCommon(shared)
	return cmd
}

// text prints a for people: the keys, or without any the members.
func (a ringAnswer) text(w io.Writer) {
	if len(a.Keys) > 0 {
		rows := []string{row("KEY", "PARTITION", "TARGET", "HOLDER", "HEIR", "TERM")}
		for _, k := range a.Keys {
			rows = append(rows, row(k.Key, k.Partition, name(k.Target), name(k.Holder), name(k.Heir), k.Term))
		}
		table(w, rows...)
		return
	}
	all := 0
	for _, m := range a.Members {
		all += m.Partitions
	}
	fmt.Fprintf(w, "epoch %s, %s\n", a.Epoch, a.Ring)
	rows := []string{row("MEMBER", "PARTITIONS", "SHARE")}
	for _, m := range a.Members {
		rows = append(rows, row(m.ID, count(m.Partitions), fmt.Sprintf("%.1f%%", 100*float64(m.Partitions)/float64(max(1, all)))))
	}
	table(w, rows...)
}

// name returns m, or a dash for none.
func name(m ring.Member) string {
	if m == "" {
		return "-"
	}
	return string(m)
}
