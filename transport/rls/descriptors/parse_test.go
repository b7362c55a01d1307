package descriptors

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noriahq/noria/bucket"
)

// parse returns the rules of files with these texts.
func parse(t testing.TB, texts ...string) *Rules {
	t.Helper()
	files := make([]File, len(texts))
	for i, text := range texts {
		files[i] = File{Name: fmt.Sprintf("%d.yaml", i), Text: []byte(text)}
	}
	rules, err := Parse(files...)
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return rules
}

// Everything that a file may say is read.
func TestParse(t *testing.T) {
	rules := parse(t, `
domain: all
descriptors:
  - key: user
    descriptors:
      - key: path
        value: /files/*
        share_threshold: true
        shadow_mode: true
        quota_mode: true
        detailed_metric: true
        value_to_metric: true
        metadata: {pool: blue, weight: 3, spare: true, none: , tags: [a, "01"]}
        rate_limit: {name: files, unit: MINUTE, requests_per_unit: 1_000, replaces: [{name: paths}, {name: users}]}
  - key: free
    rate_limit: {unlimited: true}
  - key: banned
    rate_limit: {unit: second, requests_per_unit: 0}
`, "domain: exact\nalgorithm: fixed_window\ndescriptors:\n- {key: a, rate_limit: {unit: year, requests_per_unit: 7}}\n", "domain: empty\ndescriptors:\n")
	if domains, limits := rules.Count(); domains != 3 || limits != 4 {
		t.Errorf("Count: %d domains, %d limits, want 3, 4", domains, limits)
	}
	entries := []Entry{{"user", "u"}, {"path", "/files/x"}}
	got := rules.Domain("all").Match(entries)
	want := &Rule{
		Limit: Limit{Requests: 1000, Unit: Minute}, Name: "files", Replaces: []string{"paths", "users"}, Shadow: true, Quota: true,
		Metadata: map[string]any{"pool": "blue", "weight": 3.0, "spare": true, "none": nil, "tags": []any{"a", "01"}},
		Bucket:   bucket.Limit{Tokens: 1000, Per: time.Minute, Burst: 1000},
	}
	hidden := cmp.FilterPath(func(p cmp.Path) bool {
		return slices.Contains([]string{".domain", ".path", ".metric", ".varies"}, p.Last().String())
	}, cmp.Ignore())
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Rule{}), hidden); diff != "" {
		t.Errorf("rule (-want +got):\n%s", diff)
	}
	if r := rules.Domain("all").Match([]Entry{{"free", "x"}}); r == nil || !r.Unlimited {
		t.Errorf("free is %+v, want unlimited", r)
	}
	if r := rules.Domain("all").Match([]Entry{{"banned", "x"}}); r == nil || r.Bucket != (bucket.Limit{}) || r.Unlimited {
		t.Errorf("banned is %+v, want a limit that lets nothing through", r)
	}
	if r := rules.Domain("exact").Match([]Entry{{"a", "x"}}); r == nil || r.Bucket.Window != bucket.Fixed || r.Bucket.Per != 365*24*time.Hour {
		t.Errorf("exact is %+v, want a fixed window of a year", r)
	}
	if rules.Domain("other") != nil || (*Rules)(nil).Domain("all") != nil {
		t.Error("there is a domain that is in no file")
	}
}

// All that is wrong is told at once, where it stands.
func TestParseErrors(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		want  []string
	}{
		"nothing":       {[]string{""}, []string{"domain is missing"}},
		"no mapping":    {[]string{"- a\n"}, []string{`0.yaml:1:1: the file is a list, want a mapping`}},
		"no domain":     {[]string{"descriptors:\n- key: a\n"}, []string{"0.yaml:1:1: domain is missing"}},
		"empty domain":  {[]string{"domain: ''\n"}, []string{"0.yaml:1:9: domain is \"\": want something that is not empty"}},
		"algorithm":     {[]string{"domain: a\nalgorithm: fixed_windows\n"}, []string{`0.yaml:2:12: algorithm is "fixed_windows": want token_bucket or fixed_window, did you mean "fixed_window"?`}},
		"twice":         {[]string{"domain: a\n", "domain: a\n"}, []string{`1.yaml:1:9: domain "a" is in 0.yaml, too`}},
		"unknown":       {[]string{"domain: a\ndescriptor: []\n"}, []string{"0.yaml:2:1: unknown field descriptor in the file, did you mean descriptors?"}},
		"no key":        {[]string{"domain: a\ndescriptors:\n- value: b\n"}, []string{"0.yaml:3:3: a descriptor has no key"}},
		"empty key":     {[]string{"domain: a\ndescriptors:\n- key: ''\n"}, []string{"0.yaml:3:8: key is \"\""}},
		"no descriptor": {[]string{"domain: a\ndescriptors:\n-\n"}, []string{"a descriptor is empty"}},
		"a word":        {[]string{"domain: a\ndescriptors: all\n"}, []string{`0.yaml:2:14: descriptors is "all", want a list`}},
		"same twice": {
			[]string{"domain: a\ndescriptors:\n- key: b\n- key: b\n- {key: c, value: d}\n- {key: c, value: d}\n- {key: c, value: d*}\n- {key: c, value: d*}\n"},
			[]string{"0.yaml:4:8: descriptor b stands here twice", "0.yaml:6:9: descriptor c with the value d stands", "0.yaml:8:9: descriptor c with the value d* stands"},
		},
		"several": {
			[]string{"domain: a\ndescriptors:\n- key: b\n  rate_limit: {unit: sec, requests_per_unit: -1}\n- key: c\n  shadow_mode: maybe\n  rate_limit: {unit: day}\n"},
			[]string{
				`0.yaml:4:22: unit is "sec": want second, minute, hour, day, week, month or year`, `0.yaml:4:46: requests_per_unit is "-1": want a whole number from 0 to 1000000000; unlimited: true lets all through`,
				`0.yaml:6:16: shadow_mode is "maybe": want true or false`, "0.yaml:7:16: rate_limit has no requests_per_unit",
			},
		},
		"too many requests": {[]string{"domain: a\ndescriptors:\n- {key: b, rate_limit: {unit: day, requests_per_unit: 4294967295}}\n"}, []string{`requests_per_unit is "4294967295": want a whole number from 0`}},
		"no unit":           {[]string{"domain: a\ndescriptors:\n- {key: b, rate_limit: {requests_per_unit: 1}}\n"}, []string{"rate_limit has no unit"}},
		"empty limit":       {[]string{"domain: a\ndescriptors:\n- key: b\n  rate_limit:\n"}, []string{"rate_limit is empty"}},
		"unlimited":         {[]string{"domain: a\ndescriptors:\n- {key: b, rate_limit: {unlimited: true, unit: day}}\n"}, []string{"say nothing beside unlimited"}},
		"replaces":          {[]string{"domain: a\ndescriptors:\n- {key: b, rate_limit: {name: c, unit: day, requests_per_unit: 1, replaces: [{name: c}]}}\n"}, []string{`"c" replaces itself`}},
		"replaces nobody":   {[]string{"domain: a\ndescriptors:\n- {key: b, rate_limit: {unit: day, requests_per_unit: 1, replaces: [{}]}}\n"}, []string{"without the name"}},
		"share":             {[]string{"domain: a\ndescriptors:\n- {key: b, value: c, share_threshold: true}\n"}, []string{"0.yaml:3:39: share_threshold shares"}},
		"metadata":          {[]string{"domain: a\ndescriptors:\n- {key: b, metadata: c}\n"}, []string{`metadata is "c", want a mapping`}},
		"no YAML":           {[]string{"domain: [\n"}, []string{"0.yaml:1:"}},
	} {
		t.Run(name, func(t *testing.T) {
			files := make([]File, len(c.files))
			for i, text := range c.files {
				files[i] = File{Name: fmt.Sprintf("%d.yaml", i), Text: []byte(text)}
			}
			rules, err := Parse(files...)
			if err == nil || rules != nil {
				t.Fatalf("Parse: %v, want an error and no rules", err)
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(c.want) {
				t.Errorf("%d errors, want %d:\n%v", len(lines), len(c.want), err)
			}
			for i, want := range c.want {
				if i < len(lines) && !strings.Contains(lines[i], want) {
					t.Errorf("error %d is\n%s\nwant\n%s", i, lines[i], want)
				}
			}
			if at := (&Error{}); !errors.As(err, &at) || at.File == "" {
				t.Errorf("%v is no *Error of a file", err)
			}
		})
	}
}

// At most so many errors are told that a person reads them.
func TestParseManyErrors(t *testing.T) {
	_, err := Parse(File{Name: "f", Text: []byte("domain: a\ndescriptors:\n" + strings.Repeat("- {key: ''}\n", 50))})
	if lines := strings.Split(fmt.Sprint(err), "\n"); len(lines) != maxWrong+1 || lines[maxWrong] != "and 30 more" {
		t.Errorf("errors are\n%v", err)
	}
}

// Whatever is in a file, reading it ends with rules that can be asked or with errors that say where.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"domain: a\ndescriptors:\n- key: b\n  value: c*d\n  share_threshold: true\n  rate_limit: {unit: day, requests_per_unit: 3}\n",
		"domain: a\nalgorithm: fixed_window\ndescriptors:\n- key: b\n  descriptors:\n  - {key: c, detailed_metric: true, rate_limit: {unlimited: true}}\n",
		"domain: a\ndescriptors:\n- {key: b, metadata: {c: [1, {d: ~}]}, rate_limit: {name: n, unit: year, requests_per_unit: 1000000000, replaces: [{name: m}]}}\n",
		"{", "- - -", "domain: &x a\n", "domain: a\ndescriptors: [[]]", "domain: a\ndescriptors: [{key: [], rate_limit: []}]", "domain: {}\nalgorithm: []",
	} {
		f.Add([]byte(seed), "b", "c1d")
	}
	f.Fuzz(func(t *testing.T, text []byte, key, of string) {
		rules, err := Parse(File{Name: "f.yaml", Text: text})
		if err != nil {
			if !strings.Contains(err.Error(), "f.yaml") {
				t.Errorf("error %q does not say where", err)
			}
			return
		}
		for _, d := range rules.domains {
			for _, entries := range [][]Entry{nil, {{key, of}}, {{key, of}, {"c", of}}, {{"b", of}}} {
				ask(t, d, entries)
			}
		}
	})
}

// ask checks what every rule that is met promises.
func ask(t *testing.T, d *Domain, entries []Entry) {
	t.Helper()
	r := d.Match(entries)
	if r == nil {
		return
	}
	if len(r.path) != len(entries) {
		t.Errorf("%v meet a rule of depth %d", entries, len(r.path))
	}
	key := r.Key(entries)
	if len(key) > bucket.MaxKey || r.Metric(entries) == "" {
		t.Errorf("%v have the key %q and the metric %q", entries, key, r.Metric(entries))
	}
	if r.Bucket != (bucket.Limit{}) {
		if err := r.Bucket.Validate(); err != nil {
			t.Errorf("%v have the limit %v: %v", entries, r.Bucket, err)
		}
	}
}
