package chaos

import (
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// The report is one page that is well-formed, runs nothing and needs nothing from elsewhere.
func TestReport(t *testing.T) {
	h, v := runFake(t, busy(
		Step{At: 5 * second, Do: Join},
		Step{At: 15 * second, Do: Kill, Node: Any},
		Step{At: 25 * second, Do: Pause, Node: Any, For: 2 * second},
	), bugs{forgetOnMove: true})
	h.Faults[0].Node = `<script>alert("x")</script>`
	v.Faults[0].Node, v.Notes = h.Faults[0].Node, []string{h.Faults[0].Node}
	var b strings.Builder
	if err := WriteReport(&b, h, v); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	if bad := regexp.MustCompile(`(?i)<script|src=|href=|url\(|@import|https?:|NaN|Inf|%!`).FindString(page); bad != "" {
		t.Errorf("the page contains %q", bad)
	}
	for _, want := range []string{"A promise was broken", "join, leave, rolling restart", "too many", "prefers-color-scheme: dark", "quota 20"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if got := strings.Count(page, "<svg"); got < 4 {
		t.Errorf("the page has %d pictures, want at least 4", got)
	}
	balanced(t, page)
}

// balanced checks that the elements of pictures and tables are closed.
func balanced(t *testing.T, page string) {
	t.Helper()
	open := map[string]int{}
	z := html.NewTokenizer(strings.NewReader(page))
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			break
		}
		name, _ := z.TagName()
		switch kind {
		case html.StartTagToken:
			open[string(name)]++
		case html.EndTagToken:
			open[string(name)]--
		default:
		}
	}
	if !errors.Is(z.Err(), io.EOF) {
		t.Error(z.Err())
	}
	for _, name := range []string{"svg", "g", "text", "table", "tr", "figure", "figcaption", "span", "div", "html"} {
		if open[name] != 0 {
			t.Errorf("%d more <%s> are opened than closed", open[name], name)
		}
	}
}

// A run in which nothing came to pass has a verdict and a report, too.
func TestEmptyReport(t *testing.T) {
	p := New().withDefaults()
	h := &History{Plan: p, Limits: make([]uint8, p.Keys)}
	v := Judge(h)
	var b strings.Builder
	if err := WriteReport(&b, h, v); err != nil || !v.Kept || strings.Contains(b.String(), "NaN") {
		t.Errorf("WriteReport of nothing: %v, kept %v", err, v.Kept)
	}
}
