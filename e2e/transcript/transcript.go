// Package transcript finds what a Markdown page says that commands print, and compares it with what they do print.
//
// A block fenced with ```console is a transcript: a line that starts with "$ " is a command, lines up to the next one are
// its output.
//
//	$ noria check user:42 "100/s burst 200"
//	allowed, 199 left ...
//
// In the output "..." stands for any text in a line, and a line of nothing else for any lines, also none. A command that
// ends with a backslash goes on in the next line. A command without output lines may print anything. "# exit status 1"
// as the last line of an output says how the command ends, where that is not 0.
package transcript

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A Command is a command and what it is said to print.
type Command struct {
	Line   int      // of the page, from 1
	Text   string   // for a shell
	Output []string // lines; nil for anything
	Status int      // exit status
}

// String returns the command as the page has it.
func (c Command) String() string { return fmt.Sprintf("line %d: $ %s", c.Line, c.Text) }

// Parse returns the commands of all transcripts of a page, in their order. An error says which line is no transcript.
func Parse(page string) ([]Command, error) {
	var all []Command
	inside := false
	for i, line := range strings.Split(page, "\n") {
		text := strings.TrimSpace(line)
		switch {
		case !inside && text == "```console":
			inside = true
			all = append(all, Command{Line: -1}) // ends the output of the block before
		case inside && text == "```":
			inside = false
		case inside:
			if err := add(&all, i+1, line); err != nil {
				return nil, err
			}
		}
	}
	if inside {
		return nil, errors.New("a ```console block does not end")
	}
	return complete(all), nil
}

// add takes in a line of a transcript.
func add(all *[]Command, number int, line string) error {
	last := &(*all)[len(*all)-1]
	if text, ok := strings.CutPrefix(line, "$ "); ok {
		*all = append(*all, Command{Line: number, Text: text})
		return nil
	}
	if last.Line < 0 {
		return fmt.Errorf("line %d: a transcript starts with a command, \"$ ...\", not with %q", number, line)
	}
	if len(last.Output) == 0 && strings.HasSuffix(last.Text, `\`) {
		last.Text += "\n" + line
		return nil
	}
	if status, ok := strings.CutPrefix(line, "# exit status "); ok {
		var err error
		if last.Status, err = strconv.Atoi(status); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		return nil
	}
	last.Output = append(last.Output, line)
	return nil
}

// complete returns the commands without those that stand for the start of a block, and outputs without empty lines at
// their ends.
func complete(all []Command) []Command {
	var commands []Command
	for _, c := range all {
		if c.Line < 0 {
			continue
		}
		for len(c.Output) > 0 && strings.TrimSpace(c.Output[len(c.Output)-1]) == "" {
			c.Output = c.Output[:len(c.Output)-1]
		}
		commands = append(commands, c)
	}
	return commands
}

// Match says whether output, what c printed, is what it is said to print.
func (c Command) Match(output string) bool {
	if c.Output == nil {
		return true
	}
	return matchLines(c.Output, strings.Split(strings.TrimRight(output, "\n"), "\n"))
}

// matchLines says whether the lines of got are those of want.
func matchLines(want, got []string) bool {
	for i, w := range want {
		if strings.TrimSpace(w) == "..." {
			for skip := range len(got) - i + 1 {
				if matchLines(want[i+1:], got[i+skip:]) {
					return true
				}
			}
			return false
		}
		if i >= len(got) || !matchText(strings.TrimRight(w, " "), strings.TrimRight(got[i], " \r")) {
			return false
		}
	}
	return len(got) == len(want)
}

// matchText says whether got is want, in which "..." stands for any text.
func matchText(want, got string) bool {
	parts := strings.Split(want, "...")
	if len(parts) == 1 {
		return want == got
	}
	rest, ok := strings.CutPrefix(got, parts[0])
	if !ok {
		return false
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		at := strings.Index(rest, part)
		if at < 0 {
			return false
		}
		rest = rest[at+len(part):]
	}
	return strings.HasSuffix(rest, parts[last])
}
