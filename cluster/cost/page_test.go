package cost

import (
	"flag"
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the tables of cluster/COST.md")

const page = "../COST.md"

// The tables of the page are what the model says, and all of them are there.
func TestPage(t *testing.T) {
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	left := Tables()
	place := regexp.MustCompile(`(?s)<!-- table (\w+) -->\n.*?<!-- end -->`)
	want := place.ReplaceAllStringFunc(string(b), func(old string) string {
		name := place.FindStringSubmatch(old)[1]
		made, ok := left[name]
		if !ok {
			t.Errorf("the page has a table %q, which is not there or twice", name)
		}
		delete(left, name)
		return "<!-- table " + name + " -->\n" + made + "<!-- end -->"
	})
	for name := range left {
		t.Errorf("the page has no table %q", name)
	}
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(b), want); diff != "" {
		t.Errorf("COST.md is not what the model says; -update rewrites it (-page +model):\n%s", diff)
	}
}
