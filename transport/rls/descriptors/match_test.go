package descriptors

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A plainDescriptor is a descriptor of a configuration as it stands in the file, for a model that walks it anew for each question.
type plainDescriptor struct {
	key, value string
	limit      int // requests per day, 0 for no limit
	share      bool
	below      []plainDescriptor
}

// yaml writes all, indented by in.
func yaml(all []plainDescriptor, in string) string {
	var b strings.Builder
	for _, p := range all {
		fmt.Fprintf(&b, "%s- key: %q\n", in, p.key)
		if p.value != "" {
			fmt.Fprintf(&b, "%s  value: %q\n", in, p.value)
		}
		if p.share {
			fmt.Fprintf(&b, "%s  share_threshold: true\n", in)
		}
		if p.limit > 0 {
			fmt.Fprintf(&b, "%s  rate_limit: {unit: day, requests_per_unit: %d}\n", in, p.limit)
		}
		if len(p.below) > 0 {
			fmt.Fprintf(&b, "%s  descriptors:\n%s", in, yaml(p.below, in+"    "))
		}
	}
	return b.String()
}

// find is the model: it looks at every descriptor of a level three times, for what is most like e first. It returns the
// limit, 0 for none, and the entries as the bucket has them.
func find(all []plainDescriptor, entries []Entry) (limit int, as []string) {
	if len(entries) == 0 {
		return 0, nil
	}
	e := entries[0]
	for _, like := range []func(p plainDescriptor) bool{
		func(p plainDescriptor) bool {
			return p.value != "" && !strings.Contains(p.value, "*") && p.value == e.Value
		},
		func(p plainDescriptor) bool {
			each := strings.Split(p.value, "*")
			for i := range each {
				each[i] = regexp.QuoteMeta(each[i])
			}
			return len(each) > 1 && regexp.MustCompile(`(?s)\A`+strings.Join(each, ".*")+`\z`).MatchString(e.Value)
		},
		func(p plainDescriptor) bool { return p.value == "" },
	} {
		for _, p := range all {
			if p.key != e.Key || !like(p) {
				continue
			}
			one := fmt.Sprintf("%q=%q", e.Key, e.Value)
			if p.share {
				one = fmt.Sprintf("%q~%q", e.Key, p.value)
			}
			if len(entries) == 1 {
				return p.limit, []string{one}
			}
			limit, rest := find(p.below, entries[1:])
			return limit, append([]string{one}, rest...)
		}
	}
	return 0, nil
}

// drawn draws descriptors, those below them included.
func drawn(t *rapid.T, depth int, limit *int) []plainDescriptor {
	var all []plainDescriptor
	seen := map[Entry]bool{}
	for range rapid.IntRange(0, 4).Draw(t, "width") {
		p := plainDescriptor{
			key:   rapid.SampledFrom([]string{"a", "b", "a_b"}).Draw(t, "key"),
			value: rapid.SampledFrom([]string{"", "", "x", "y", "xy", "x*", "*", "x*y", "*x*", "*x*y*", "b_x", "**"}).Draw(t, "value"),
		}
		at := Entry{p.key, p.value}
		if seen[at] {
			continue
		}
		seen[at] = true
		p.share = strings.Contains(p.value, "*") && rapid.Bool().Draw(t, "share")
		if rapid.Bool().Draw(t, "limited") {
			*limit++
			p.limit = *limit
		}
		if depth > 1 {
			p.below = drawn(t, depth-1, limit)
		}
		all = append(all, p)
	}
	return all
}

// What descriptors meet is what a plain walk over the file says, and they share a bucket just when it says so.
func TestMatchModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var count int
		all := drawn(t, 3, &count)
		text := "domain: d\ndescriptors:\n" + yaml(all, "")
		rules, err := Parse(File{Name: "f", Text: []byte(text)})
		if err != nil {
			t.Fatalf("Parse: %v\n%s", err, text)
		}
		d := rules.Domain("d")
		seen, back := map[string]string{}, map[string]string{}
		for range 20 {
			entries := make([]Entry, rapid.IntRange(1, 4).Draw(t, "depth"))
			for i := range entries {
				entries[i].Key = rapid.SampledFrom([]string{"a", "b", "a_b", "c"}).Draw(t, "key")
				entries[i].Value = rapid.SampledFrom([]string{"", "x", "y", "xy", "xay", "yx", "b_x", "x\ny", "xyx", "z"}).Draw(t, "value")
			}
			limit, as := find(all, entries)
			r := d.Match(entries)
			got := 0
			if r != nil {
				got = int(r.Requests)
			}
			if got != limit {
				t.Fatalf("%v meet the limit %d, want %d, of\n%s", entries, got, limit, text)
			}
			if r == nil {
				continue
			}
			key, want := r.Key(entries), strings.Join(as, " ")
			if was, ok := seen[want]; ok && was != key {
				t.Fatalf("%s has the keys %q and %q", want, was, key)
			}
			if was, ok := back[key]; ok && was != want {
				t.Fatalf("%s and %s have both the key %q", was, want, key)
			}
			seen[want], back[key] = key, want
		}
	})
}

// Metrics have the words of the file, and values of requests only where it says so.
func TestMetric(t *testing.T) {
	d := parse(t, `
domain: d
descriptors:
  - key: a
    value_to_metric: true
    descriptors:
      - key: b
        rate_limit: {unit: day, requests_per_unit: 1}
      - key: c
        detailed_metric: true
        rate_limit: {unit: day, requests_per_unit: 1}
  - key: e
    descriptors:
      - key: f
        value: x*
        rate_limit: {unit: day, requests_per_unit: 1}
      - key: g
        value: x*
        detailed_metric: true
        rate_limit: {unit: day, requests_per_unit: 1}
      - key: h
        value: x*
        detailed_metric: true
        share_threshold: true
        rate_limit: {unit: day, requests_per_unit: 1}
`).Domain("d")
	for _, c := range []struct {
		entries []Entry
		want    string
	}{
		{[]Entry{{"a", "1"}, {"b", "2"}}, "d.a_1.b"},
		{[]Entry{{"a", "1"}, {"c", "2"}}, "d.a_1.c_2"},
		{[]Entry{{"e", "1"}, {"f", "x2"}}, "d.e.f_x*"},
		{[]Entry{{"e", "1"}, {"g", "x2"}}, "d.e_1.g_x2"},
		{[]Entry{{"e", "1"}, {"h", "x2"}}, "d.e_1.h_x*"},
	} {
		if got := d.Match(c.entries).Metric(c.entries); got != c.want {
			t.Errorf("Metric(%v) is %q, want %q", c.entries, got, c.want)
		}
	}
	long := []Entry{{"a", strings.Repeat("é", 300)}, {"b", ""}}
	if r := d.Match(long); len(r.Metric(long)) > maxMetric || len(r.Key(long)) > 100 {
		t.Errorf("long values make the metric %q and the key %q", r.Metric(long), r.Key(long))
	}
}

// Limits that come with a request have buckets of their own, by unit.
func TestOverrideKeys(t *testing.T) {
	d := parse(t, "domain: d\ndescriptors:\n- {key: a, rate_limit: {unit: day, requests_per_unit: 1}}\n").Domain("d")
	entries := []Entry{{"a", "1"}}
	day, hour, own := d.Key(entries, Limit{Requests: 1, Unit: Day}), d.Key(entries, Limit{Requests: 2, Unit: Hour}), d.Match(entries).Key(entries)
	if day == hour || day == own || hour == own || day != d.Key(entries, Limit{Requests: 9, Unit: Day}) {
		t.Errorf("keys are %q, %q and %q", day, hour, own)
	}
}

// A * is any text, and each takes as little as leaves room for what comes behind it.
func TestFits(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"*", "", true},
		{"a*", "a", true},
		{"a*", "ba", false},
		{"*a", "ba", true},
		{"*a", "ab", false},
		{"a*a", "a", false},
		{"a*a", "aa", true},
		{"*x*y*", "xyx", true},
		{"*x*y", "yx", false},
		{"a*b*b", "ab", false},
		{"a**b", "ab", true},
		{"a*c", "a\nb\nc", true},
	} {
		if got := fits(c.pattern, c.s); got != c.want {
			t.Errorf("fits(%q, %q) is %v, want %v", c.pattern, c.s, got, c.want)
		}
	}
}

// No value looks like the end of its entry and the begin of another.
func TestKeysDiffer(t *testing.T) {
	d := parse(t, "domain: d\n").Domain("d")
	one, two := d.Key([]Entry{{"a", "b1:c1:d"}}, Limit{}), d.Key([]Entry{{"a", "b"}, {"c", "d"}}, Limit{})
	if one == two {
		t.Errorf("both have the key %q", one)
	}
	long := strings.Repeat("x", 600)
	if one, two = d.Key([]Entry{{"a", long}}, Limit{}), d.Key([]Entry{{"a", long + "x"}}, Limit{}); one == two || len(one) > 100 {
		t.Errorf("long values have the keys %q and %q", one, two)
	}
}
