package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/noriahq/noria/cluster"
)

// What "make release" and the image's build say of a binary, by the linker; "" where it was built otherwise.
//
//nolint:gochecknoglobals // the linker sets variables alone
var (
	stampVersion string
	stampCommit  string
	stampDate    string // of the commit, as time.RFC3339 has it
)

// A version is what a binary was made of.
type version struct {
	Version  string `json:"version"`            // of the module
	Commit   string `json:"commit,omitempty"`   // unknown to a binary that was built outside a checkout
	Modified bool   `json:"modified,omitempty"` // whether the checkout had changes beyond Commit
	Date     string `json:"date,omitempty"`     // of Commit
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Protocol int    `json:"protocol"` // the newest that it speaks with other nodes
	Oldest   int    `json:"oldest"`   // the oldest that it accepts of them
}

// newVersion returns the command version.
func newVersion(p *process) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Show what this binary was made of",
		Example: "  noria version --output json",
		Args:    exactly(),
		RunE: func(*cobra.Command, []string) error {
			v := ownVersion()
			return out.print(p.stdout, v, v.text)
		},
	}
	addOutput(section{flags: cmd.Flags(), name: "client"}, &out)
	return cmd
}

// ownVersion returns what this binary was made of.
func ownVersion() version {
	return versionOf(debug.ReadBuildInfo()).stamped(stampVersion, stampCommit, stampDate)
}

// versionOf returns what info, where there is one, says.
func versionOf(info *debug.BuildInfo, ok bool) version {
	v := version{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Protocol: cluster.Protocol, Oldest: cluster.OldestProtocol}
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.time":
			v.Date = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

// stamped returns v with what the linker was told, where it was.
func (v version) stamped(number, commit, date string) version {
	v.Version = cmp.Or(number, v.Version)
	if commit != "" {
		v.Commit, v.Modified = strings.TrimSuffix(commit, "-dirty"), strings.HasSuffix(commit, "-dirty")
	}
	v.Date = cmp.Or(date, v.Date)
	return v
}

// text prints v for people.
func (v version) text(w io.Writer) {
	fmt.Fprintf(w, "noria %s\n", v.Version)
	commit := v.Commit
	if commit == "" {
		commit = "unknown"
	}
	if v.Modified {
		commit += ", modified"
	}
	rows := []string{row("  commit", commit)}
	if v.Date != "" {
		rows = append(rows, row("  date", v.Date))
	}
	table(w, append(rows, row("  go", v.Go+" "+v.Platform), row("  protocol", fmt.Sprintf("%d, accepts %d and newer", v.Protocol, v.Oldest)))...)
}

// short returns v in a word or two: that of the module, with the commit where there is no released one.
func (v version) short() string {
	if v.Commit == "" || v.Version != "(devel)" {
		return v.Version
	}
	short := v.Commit[:min(len(v.Commit), 12)]
	if v.Modified {
		short += "+"
	}
	return short
}
