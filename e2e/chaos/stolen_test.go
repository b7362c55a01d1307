package chaos

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// What is degraded at a join counts, unless the processors were withheld just then.
func TestWithheld(t *testing.T) {
	h, v := runFake(t, busy(Step{At: 30 * second, Do: Join}), bugs{degradeMoves: true})
	if !slices.Contains(broken(v), "nobody notices") {
		t.Fatalf("broken are %q, want that nobody notices among them", broken(v))
	}
	for _, c := range []struct {
		name     string
		withheld []Span
		kept     bool
	}{
		{"all the time", []Span{{0, h.Took}}, true},
		{"before", []Span{{0, 29 * second}}, false},
		{"after", []Span{{h.Took - second, h.Took}}, false},
	} {
		h.Withheld = c.withheld
		if got := !slices.Contains(broken(Judge(h)), "nobody notices"); got != c.kept {
			t.Errorf("processors withheld %s: kept is %v, want %v", c.name, got, c.kept)
		}
	}
}

// Times that follow each other are one, and those in which little was stolen are none.
func TestProcessed(t *testing.T) {
	var m meter
	tick := func(i int, stolen, all uint64) {
		m.processed(processors{2, 10, 100}, processors{2, 10 + stolen, 100 + all}, time.Duration(i)*stolenTick, time.Duration(i+1)*stolenTick)
	}
	for i, stolen := range []uint64{5, 4, 0, 20, 0} {
		tick(i, stolen, 20)
	}
	tick(5, 0, 0)
	tick(8, 2, 2) // as where the clock is not a real one
	spans, part := m.stole()
	want := []Span{{0, stolenTick}, {3 * stolenTick, 4 * stolenTick}}
	if !slices.Equal(spans, want) || part != 31/102. {
		t.Errorf("withheld %v, %v in all, want %v, %v", spans, part, want, 31/102.)
	}
	tick(6, 5, 20)
	tick(7, 5, 20)
	if spans, _ := m.stole(); len(spans) != 3 || spans[2] != (Span{6 * stolenTick, 8 * stolenTick}) {
		t.Errorf("withheld %v, want the last two in one", spans)
	}
}

func TestReadProcessors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stat")
	for text, want := range map[string]processors{
		"cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1\ncpu1 1\nintr 1\n": {count: 2, stolen: 8, all: 36},
		"cpu  1 2 3 4 5 6 7\n":                                {}, // an old kernel
		"cpu0 1 2 3 4 5 6 7 8\n":                              {},
		"cpu  1 2 3 4 5 6 7 x\n":                              {},
		"":                                                    {},
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readProcessors(path)
		if (err == nil) != (want != processors{}) || err == nil && got != want {
			t.Errorf("%q: %+v, %v, want %+v", text, got, err, want)
		}
	}
	if _, err := readProcessors(filepath.Join(t.TempDir(), "nothing")); err == nil {
		t.Error("no error for a file that is not there")
	}
}
