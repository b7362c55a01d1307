package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/noriahq/noria/bucket"
	"github.com/noriahq/noria/bucket/policy/strict"
)

// An output is how a command prints data.
type output struct {
	format string // text or json
}

// addOutput defines --output.
func addOutput(s section, o *output) {
	s.add("output", "output", "`FORMAT` of what is printed: text or json", of(&o.format, "format", "text", choice("text", "json")))
}

// print writes data as JSON, or calls text.
func (o output) print(w io.Writer, data any, text func(io.Writer)) error {
	if o.format != "json" {
		text(w)
		return nil
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(data)
}

// table writes rows of cells, which are separated by tabs, in columns.
func table(w io.Writer, rows ...string) {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, r := range rows {
		fmt.Fprintln(t, r)
	}
	_ = t.Flush() // writing to the terminal: nobody could be told
}

// row joins cells for table.
func row(cells ...any) string {
	texts := make([]string, len(cells))
	for i, c := range cells {
		texts[i] = fmt.Sprint(c)
	}
	return strings.Join(texts, "\t")
}

// A paint colours words, or leaves them as they are.
type paint bool

// paint returns the paint for w: colours on a terminal, where neither NO_COLOR nor TERM=dumb asks for none.
func (p *process) paint(w io.Writer) paint {
	return paint(isTerminal(w) && p.coloured())
}

// coloured says whether the environment lets a terminal have colours.
func (p *process) coloured() bool { return p.env["NO_COLOR"] == "" && p.env["TERM"] != "dumb" }

func (c paint) in(code, s string) string {
	if !c {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (c paint) red(s string) string    { return c.in("31", s) }
func (c paint) green(s string) string  { return c.in("32", s) }
func (c paint) yellow(s string) string { return c.in("33", s) }
func (c paint) bold(s string) string   { return c.in("1", s) }

// isTerminal says whether w is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && f.Name() != os.DevNull
}

// lasting returns d for people: rounded, or never.
func lasting(d time.Duration) string {
	switch {
	case d == bucket.Never:
		return "never"
	case d >= time.Minute:
		return strict.Short(d.Round(time.Second))
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.String()
}

// count returns n with commas between its thousands.
func count[N int | int64 | uint64](n N) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
