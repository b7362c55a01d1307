package transcript

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const page = "# A page\n" +
	"```sh\n$ not run\n```\n" +
	"Text with $ money.\n" +
	"```console\n" +
	"$ first --flag\n" +
	"one\n" +
	"\n" +
	"$ second \\\n" +
	"    more\n" +
	"two ... three\n" +
	"# exit status 1\n" +
	"```\n" +
	"  ```console\n$ third\n  ```\n" +
	"```go\nfunc f() {}\n```\n"

// Only console blocks are transcripts, and each command has its own output.
func TestParse(t *testing.T) {
	got, err := Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	want := []Command{
		{Line: 7, Text: "first --flag", Output: []string{"one"}},
		{Line: 10, Text: "second \\\n    more", Output: []string{"two ... three"}, Status: 1},
		{Line: 16, Text: "third"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Parse differs (-want +got):\n%s", diff)
	}
}

// What is no transcript is told with its line.
func TestParseErrors(t *testing.T) {
	cases := []struct{ page, want string }{
		{"```console\noutput\n```\n", `line 2: a transcript starts with a command, "$ ...", not with "output"`},
		{"```console\n$ a\n# exit status x\n```\n", `line 3: strconv.Atoi: parsing "x": invalid syntax`},
		{"```console\n$ a\n", "a ```console block does not end"},
	}
	for _, c := range cases {
		_, err := Parse(c.page)
		if err == nil || err.Error() != c.want {
			t.Errorf("Parse(%q): %v, want %s", c.page, err, c.want)
		}
	}
}

// An output is compared line by line, with wildcards for what differs from run to run.
func TestMatch(t *testing.T) {
	cases := []struct {
		want, got string // lines; "-" in want for none
		match     bool
	}{
		{"-", "anything", true},
		{"one", "one\n", true},
		{"one", "two\n", false},
		{"one", "one\ntwo\n", false},
		{"one\ntwo", "one\n", false},
		{"...", "", true},
		{"...\nlast", "a\nb\nlast\n", true},
		{"...\nlast", "a\nb\n", false},
		{"first\n...", "first\n", true},
		{"first\n...\nb\n...", "first\na\nb\n", true},
		{"took ... ms", "took 12 ms", true},
		{"took ... ms", "took 12 s", false},
		{"a...b...c", "a1b2bc", true},
		{"a...b...c", "a1c", false},
		{"ab...ba", "aba", false},
		{`{"remaining":...}`, `{"remaining":199,"node":"a"}`, true},
	}
	for _, c := range cases {
		var command Command
		if c.want != "-" {
			command.Output = strings.Split(c.want, "\n")
		}
		if got := command.Match(c.got); got != c.match {
			t.Errorf("Match(%q) of %q = %v, want %v", c.got, c.want, got, c.match)
		}
	}
}
