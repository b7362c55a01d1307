package check

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../../../.."

// An instruction is one of a Dockerfile, continued lines joined.
type instruction struct{ name, rest string }

// dockerfile reads the Dockerfile.
func dockerfile(t *testing.T) []instruction {
	t.Helper()
	b, err := os.ReadFile("../docker/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(string(b), "")
	text = strings.ReplaceAll(text, "\\\n", " ")
	var all []instruction
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name != "" {
			all = append(all, instruction{name, strings.Join(strings.Fields(rest), " ")})
		}
	}
	return all
}

// The image has nothing but what it needs, is nobody's root, is asked for its health without a shell, and is made from
// files that are there by the version of Go that the module wants.
func TestDockerfile(t *testing.T) {
	all := dockerfile(t)
	last := map[string]string{}
	var stages []string
	for _, i := range all {
		switch i.name {
		case "FROM":
			stages = append(stages, i.rest)
		case "RUN", "COPY", "ARG", "ENV", "WORKDIR", "EXPOSE":
		case "USER", "HEALTHCHECK", "STOPSIGNAL", "ENTRYPOINT", "CMD":
			last[i.name] = i.rest
		default:
			t.Errorf("instruction %s is not known", i.name)
		}
		if i.name == "RUN" && len(stages) > 1 {
			t.Errorf("RUN %s in the last stage, which has no shell", i.rest)
		}
		if i.name == "COPY" && !strings.Contains(i.rest, "--from=") && !strings.HasPrefix(i.rest, ". ") {
			fields := strings.Fields(i.rest)
			for _, f := range fields[:len(fields)-1] {
				if _, err := os.Stat(filepath.Join(root, f)); err != nil {
					t.Errorf("COPY %s: %v", i.rest, err)
				}
			}
		}
	}
	if len(stages) != 2 || stages[1] != "scratch" {
		t.Fatalf("stages are %q, want the last from scratch", stages)
	}
	module, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(module)[1]
	if !strings.Contains(stages[0], "golang:"+string(want)+"-") {
		t.Errorf("the first stage is %s, the module wants Go %s", stages[0], want)
	}
	if user := last["USER"]; !regexp.MustCompile(`^[1-9]\d+:[1-9]\d+$`).MatchString(user) {
		t.Errorf("USER is %q, want numbers, so that Kubernetes sees that it is not root", user)
	}
	for name, want := range map[string]string{
		"STOPSIGNAL": "SIGTERM", "ENTRYPOINT": `["/noria"]`, "CMD": `["serve"]`,
	} {
		if last[name] != want {
			t.Errorf("%s is %s, want %s", name, last[name], want)
		}
	}
	_, cmd, _ := strings.Cut(last["HEALTHCHECK"], "CMD ")
	if cmd != `["/noria", "health"]` {
		t.Errorf("HEALTHCHECK runs %s", cmd)
	}
	if out, err := exec.Command(noria, "health", "--help").CombinedOutput(); err != nil {
		t.Errorf("noria health: %v: %s", err, out)
	}
}

// The stamps of the Dockerfile are variables of the command.
func TestStamps(t *testing.T) {
	b, err := os.ReadFile("../../version.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range dockerfile(t) {
		for _, m := range regexp.MustCompile(`-X main\.(\w+)=`).FindAllStringSubmatch(i.rest, -1) {
			if !regexp.MustCompile(`(?m)^\s*(var )?` + m[1] + `\b`).Match(b) {
				t.Errorf("version.go has no variable %s", m[1])
			}
		}
	}
}

// All packages that the build wants, and what they embed, come into its context, and nothing that is secret.
func TestDockerignore(t *testing.T) {
	b, err := os.ReadFile("../docker/Dockerfile.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	in := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "!"); ok {
			in[name] = true
		}
	}
	list := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if .Main}}{{$.ImportPath}}{{range $.EmbedFiles}} {{$.ImportPath}}/{{.}}{{end}}{{end}}{{end}}", "./cmd/noria")
	list.Dir, list.Env = root, append(os.Environ(), "GOWORK=off", "GOFLAGS=-buildvcs=false")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := 0
	for p := range strings.FieldsSeq(string(out)) {
		dir := strings.TrimPrefix(p, "github.com/noriahq/noria/")
		packages++
		found := false
		for d := dir; d != "."; d = path.Dir(d) {
			found = found || in[d]
		}
		if !found || strings.Contains(dir, "/testdata/") || strings.HasPrefix(dir, "cmd/noria/deploy/") {
			t.Errorf("%s is not in the build's context", p)
		}
	}
	if packages < 20 || in["e2e"] || in[".git"] {
		t.Errorf("%d packages; the context has %v", packages, in)
	}
}
