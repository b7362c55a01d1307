package strict

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// text writes n on one line, with the places of names and values.
func text(n *Node) string {
	at := fmt.Sprintf("@%d:%d", n.Line, n.Column)
	switch n.Kind {
	case Mapping:
		var all []string
		for _, f := range n.Fields {
			all = append(all, fmt.Sprintf("%s@%d:%d: %s", f.Name, f.Line, f.Column, text(f.Value)))
		}
		return "{" + strings.Join(all, ", ") + "}" + at
	case List:
		var all []string
		for _, item := range n.Items {
			all = append(all, text(item))
		}
		return "[" + strings.Join(all, ", ") + "]" + at
	case Scalar:
		return fmt.Sprintf("%q", n.Text) + at
	default:
		return "-"
	}
}

// A file is the tree that people see, with values as they are written and the place of each.
func TestParse(t *testing.T) {
	for _, c := range []struct{ file, want string }{
		{"", "-"},
		{"# nothing\n", "-"},
		{"---\n", "-"},
		{"a: b\n", `{a@1:1: "b"@1:4}@1:1`},
		{"a: 0x10\nb: 1_000\nc: 1.50\nd: yes\ne: '1'\nf: true\n", `{a@1:1: "0x10"@1:4, b@2:1: "1_000"@2:4, c@3:1: "1.50"@3:4, d@4:1: "yes"@4:4, e@5:1: "1"@5:4, f@6:1: "true"@6:4}@1:1`},
		{"a:\nb: ~\nc: null\n", `{a@1:1: -, b@2:1: -, c@3:1: -}@1:1`},
		{"a: [b, c]\n", `{a@1:1: ["b"@1:5, "c"@1:8]@1:4}@1:1`},
		{"a:\n  - b\n  - c: d\n", `{a@1:1: ["b"@2:5, {c@3:5: "d"@3:8}@3:5]@2:3}@1:1`},
		{"a: {b: c, d: {}}\n", `{a@1:1: {b@1:5: "c"@1:8, d@1:11: {}@1:14}@1:5}@1:1`},
		{"a: |\n  x\n  y\n", `{a@1:1: "x\ny"@1:4}@1:1`},
		{"\"a b\": c # d\n", `{a b@1:1: "c"@1:8}@1:1`},
	} {
		n, err := Parse([]byte(c.file))
		if err != nil {
			t.Errorf("Parse(%q): %v", c.file, err)
			continue
		}
		if diff := cmp.Diff(c.want, text(n)); diff != "" {
			t.Errorf("Parse(%q) (-want +got):\n%s", c.file, diff)
		}
	}
}

// What is not read is refused where it stands, all of it.
func TestParseErrors(t *testing.T) {
	for file, want := range map[string]string{
		"a: &x b\nc: *x\n":                "1:4 an anchor, alias or tag, which are not read here; 2:4 an anchor, alias or tag, which are not read here",
		"a: !!str b\n":                    "1:4 an anchor, alias or tag, which are not read here",
		"a: b\n---\nc: d\n":               "3:2 a second document begins here, want one",
		"5: a\n":                          `1:1 "5" is no name`,
		"a: b\n'a': c\n":                  `2:1 mapping key "a" already defined at [1:1]`,
		"{a, \"a\"}":                      `1:5 name "a" comes twice, first in line 1`,
		"{a: b,\n a}":                     `2:2 name "a" comes twice, first in line 1`,
		strings.Repeat("[", 101):          "1:101 more than 100 brackets in brackets",
		"a: " + strings.Repeat("x", 5000): "1:4097 line has more than 4096 bytes",
		strings.Repeat("- ", 70) + "a\n":  "1:131 more than 64 mappings and lists in each other",
		strings.Repeat("#\n", MaxText/2) + "a: b\n": "0:0 131077 bytes, want at most 131072",
	} {
		_, err := Parse([]byte(file))
		if got := places(err); got != want {
			t.Errorf("Parse(%q...) says\n%s\nwant\n%s", Clip(file), got, want)
		}
	}
	_, err := Parse([]byte(strings.Repeat("- &a b\n", 100)))
	if got := strings.Count(places(err), ";"); got != maxWrong-1 {
		t.Errorf("%d errors are told, want %d", got+1, maxWrong)
	}
}

// places returns the errors that err joins, with their places.
func places(err error) string {
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	texts := make([]string, len(all))
	for i, err := range all {
		at := &Error{}
		errors.As(err, &at)
		texts[i] = fmt.Sprintf("%d:%d %v", at.Line, at.Column, err)
	}
	return strings.Join(texts, "; ")
}

// Values are what they should be, or the error says what would be.
func TestValues(t *testing.T) {
	whole, small, long, word := Whole(1, 1_000_000), Whole[int64](0, 9), Duration(0, 90*time.Minute), Choice("one", "two", "three")
	for _, c := range []struct{ got, want string }{
		{result(whole("1_000")), "1000"},
		{result(whole("0")), "want a whole number from 1 to 1000000"},
		{result(whole("1.0")), "want a whole number from 1 to 1000000"},
		{result(small("9")), "9"},
		{result(small("0x1")), "want a whole number from 0 to 9"},
		{result(long("1h")), "1h0m0s"},
		{result(long("2h")), "want a duration from 0s to 1h30m, such as 50ms or 10s"},
		{result(long("5")), "want a duration from 0s to 1h30m, such as 50ms or 10s"},
		{result(word("TWO")), "two"},
		{result(word("tow")), `want one, two or three, did you mean "two"?`},
		{result(word("x")), "want one, two or three"},
		{result(YesNo("true")), "true"},
		{result(YesNo("yes")), "want true or false"},
		{result(Text("")), "want something that is not empty"},
		{result(URL("https://a:1/b")), "https://a:1/b"},
		{result(URL("a")), "want http:// or https:// and a host, such as http://127.0.0.1:9000"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

// result returns v, or the error instead, as text.
func result[T any](v T, err error) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(v)
}

// Whatever is in a file, reading it ends with a tree without names that come twice, or with an error.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"a: b\n", "a: [b, {c: d}]\n", "a: &x\n  b: *x\n", "--- |\n x\n", "? a\n: b\n", "{", "- - -", "a: >\n  b\n", "%YAML 1.2\n---\n", "<<: a", "!!x y", "\"\\x", ": :",
		"a:\n  - b\n  -\n    c: d\n", "a: b\na: c\n", "{a: b, a: c}", "{a, a}", "- a\n-\n- - b\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := Parse(b)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error says nothing")
			}
			return
		}
		check(t, n)
	})
}

// check checks the promises of a Node.
func check(t *testing.T, n *Node) {
	t.Helper()
	seen := map[string]bool{}
	for _, f := range n.Fields {
		if seen[f.Name] || f.Value == nil || f.Line < 1 || f.Column < 1 {
			t.Fatalf("field %+v comes twice, or is nowhere", f)
		}
		seen[f.Name] = true
		check(t, f.Value)
	}
	for _, item := range n.Items {
		check(t, item)
	}
	if n.Is() == "" {
		t.Fatalf("%+v is nothing", n)
	}
}
