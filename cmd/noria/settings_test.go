package main

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/noriahq/noria/bucket/policy/strict"
)

// told returns what serve would run with: args, env and a file with text.
func told(t *testing.T, text string, env []string, args ...string) (settings, error) {
	t.Helper()
	var s settings
	cmd := &cobra.Command{Use: "serve", SilenceErrors: true, SilenceUsage: true}
	addSettings(cmd.Flags(), &s)
	p := &process{env: environ(env)}
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return p.fromEnv(cmd) }
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		in, err := fromFile(cmd.Flags(), "noria.yaml", []byte(text), p.env)
		s.policy = in.policy
		return err
	}
	cmd.SetArgs(append([]string{}, args...))
	err := cmd.Execute()
	return s, err
}

// samples has three values of every setting that differ from each other and from the default.
func samples() map[string][3]string {
	return map[string][3]string{
		"name":             {"a", "b", "c"},
		"role":             {"gateway", "holder", "gateway"},
		"max-keys":         {"1", "2", "3"},
		"peer-wait":        {"1ms", "2ms", "3ms"},
		"drain-timeout":    {"1s", "2s", "3s"},
		"drain-delay":      {"1s", "2s", "3s"},
		"stop-wait":        {"1s", "2s", "3s"},
		"state":            {"a", "b", "c"},
		"state-every":      {"1s", "2s", "3s"},
		"join":             {"a:1,dns://b:2", "srv://_c._tcp.d", "file:///d"},
		"dns":              {"a:53", "b:53", "c:53"},
		"label":            {"x", "y", "z"},
		"serve-alone":      {"true", "false", "true"},
		"fence":            {"1s", "2s", "3s"},
		"move-rate":        {"2000000", "3000000", "4000000"},
		"forget-after":     {"1m", "2m", "3m"},
		"http":             {"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"},
		"api":              {"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"},
		"grpc":             {"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"},
		"admin":            {"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"},
		"peer":             {"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"},
		"gossip":           {"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"},
		"advertise-peer":   {"h:1", "h:2", "h:3"},
		"advertise-gossip": {"10.0.0.1:1", "10.0.0.1:2", "10.0.0.1:3"},
		"upstream":         {"http://a", "http://b", "http://c"},
		"limit":            {"1/s", "2/s", "3/s"},
		"key":              {"header.A", "header.B", "header.C"},
		"tls-cert":         {"a.pem", "b.pem", "c.pem"},
		"tls-key":          {"a.key", "b.key", "c.key"},
		"insecure":         {"true", "false", "true"},
		"peer-ca":          {"a.pem", "b.pem", "c.pem"},
		"peer-cert":        {"a.pem", "b.pem", "c.pem"},
		"peer-key":         {"a.key", "b.key", "c.key"},
		"peer-names":       {"{name}.a", "{name}.b", "{name}.c"},
		"gossip-keyring":   {"a", "b", "c"},
		"api-tls-cert":     {"a.pem", "b.pem", "c.pem"},
		"api-tls-key":      {"a.key", "b.key", "c.key"},
		"api-client-ca":    {"a.pem", "b.pem", "c.pem"},
		"api-token-file":   {"a", "b", "c"},
		"admin-tls-cert":   {"a.pem", "b.pem", "c.pem"},
		"admin-tls-key":    {"a.key", "b.key", "c.key"},
		"admin-token-file": {"a", "b", "c"},
		"rls-config":       {"a", "b", "c"},

		"max-conns":            {"1", "2", "3"},
		"max-conns-per-client": {"1", "2", "3"},
		"max-streams":          {"1", "2", "3"},
		"max-calls":            {"1", "2", "3"},
		"max-keys-per-limit":   {"1", "2", "3"},
		"shed-after":           {"1s", "2s", "3s"},

		"log-level":  {"debug", "warn", "error"},
		"log-format": {"text", "json", "text"},
	}
}

// Every setting of serve is a flag, a variable by the rule, and a field, which are asked in this order.
func TestOrder(t *testing.T) {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	addSettings(flags, new(settings))
	values := samples()
	everything := cmp.Exporter(func(reflect.Type) bool { return true })
	flags.VisitAll(func(f *pflag.Flag) {
		v, ok := values[f.Name]
		if !ok {
			t.Errorf("--%s has no samples in this test", f.Name)
			return
		}
		delete(values, f.Name)
		env, field := annotation(f, inEnv), annotation(f, inFile)
		section, name, ok := strings.Cut(field, ".")
		if want := "NORIA_" + strings.ToUpper(section+"_"+name); !ok || env != want {
			t.Errorf("--%s has the field %q and the variable %s, want %s", f.Name, field, env, want)
		}
		file := fmt.Sprintf("%s:\n  %s: %q\n", section, name, v[2])
		want := func(i int) settings {
			s, err := told(t, "", nil, "--"+f.Name+"="+v[i])
			if err != nil {
				t.Fatalf("--%s=%s: %v", f.Name, v[i], err)
			}
			return s
		}
		for _, c := range []struct {
			by   string
			env  []string
			args []string
			want settings
		}{
			{"the flag", []string{env + "=" + v[1]}, []string{"--" + f.Name + "=" + v[0]}, want(0)},
			{"the variable", []string{env + "=" + v[1]}, nil, want(1)},
			{"the file, as an empty variable is none", []string{env + "="}, nil, want(2)},
		} {
			got, err := told(t, file, c.env, c.args...)
			if diff := cmp.Diff(c.want, got, everything); err != nil || diff != "" {
				t.Errorf("--%s is not decided by %s: %v (-want +got):\n%s", f.Name, c.by, err, diff)
			}
		}
	})
	for name := range values {
		t.Errorf("there is no --%s", name)
	}
}

// Without flags, variables and file the ports are those that scripts rely on.
func TestDefaults(t *testing.T) {
	got, err := told(t, "", nil)
	want := ports{
		http: "127.0.0.1:8080", api: "127.0.0.1:8083", grpc: "127.0.0.1:8081", admin: "127.0.0.1:8082",
		peer: "127.0.0.1:7947", gossip: "127.0.0.1:7946",
	}
	if err != nil || got.listen != want {
		t.Errorf("ports are %+v, %v, want %+v", got.listen, err, want)
	}
	if host, _ := os.Hostname(); got.name != host || got.join != nil || got.alone || got.front.upstream != nil {
		t.Errorf("settings are %+v, want the name %q, nobody to join and no upstream", got, host)
	}
}

// A file may have lists, comments, sections without fields, and leave out what it likes.
func TestFile(t *testing.T) {
	got, err := told(t, `# a comment
cluster:
  join:
    - 10.0.0.1:7946
    - "10.0.0.2:7946, 10.0.0.3:7946"
  label: prod   # another
listen: # nothing here
gateway: {upstream: "http://127.0.0.1:9000", limit: quota 10 per day}
node:
  max_keys: 1_000
`, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"10.0.0.1:7946", "10.0.0.2:7946", "10.0.0.3:7946"}; !slices.Equal(got.join, want) {
		t.Errorf("join is %q, want %q", got.join, want)
	}
	u := &url.URL{Scheme: "http", Host: "127.0.0.1:9000"}
	if got.label != "prod" || got.maxKeys != 1000 || got.front.upstream.String() != u.String() || got.front.limit.Burst != 10 {
		t.Errorf("settings are %+v", got)
	}
}

// What is wrong with a file is said at its line and column, all of it at once, with what would be right.
func TestBadFile(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"field", "listen:\n  apy: 127.0.0.1:1\n", []string{"noria.yaml:2:8: unknown field listen.apy, did you mean listen.api?"}},
		{"section", "lisen:\n  api: 127.0.0.1:1\n", []string{"noria.yaml:2:8: unknown field lisen.api, did you mean listen.api?"}},
		{"value", "listen:\n  api: here\n", []string{`noria.yaml:2:8: listen.api is "here": want HOST:PORT`}},
		{"two", "listen:\n  api: here\n  grcp: :1\n", []string{"noria.yaml:2:8", "noria.yaml:3:9", "listen.grpc"}},
		{"list", "listen:\n  api: [a:1, b:2]\n", []string{"noria.yaml:2:", "listen.api is a list, want one value"}},
		{"mapping", "listen:\n  api:\n    port: 1\n", []string{"noria.yaml:3:", "listen.api is a mapping, want one value"}},
		{"no value", "listen:\n  api:\n", []string{"noria.yaml:2:3: listen.api has no value"}},
		{"top", "api: 127.0.0.1:1\n", []string{"noria.yaml:1:6: section api", "want a mapping"}},
		{"no mapping", "- a\n", []string{"noria.yaml:1:1: the file is a list, want a mapping"}},
		{"scalar", "hello\n", []string{`noria.yaml:1:1: the file is "hello", want a mapping`}},
		{"twice", "node:\n  name: a\n  name: b\n", []string{"noria.yaml:3:3", "name"}},
		{"section twice", "node:\n  name: a\nnode:\n  max_keys: 1\n", []string{"noria.yaml:3:1", "node"}},
		{"two documents", "node:\n  name: a\n---\nnode:\n  name: b\n", []string{"noria.yaml:4:", "a second document"}},
		{"anchor", "node:\n  name: &a b\n", []string{"noria.yaml:2:", "anchor"}},
		{"merge", "node:\n  <<: {name: a}\n", []string{"noria.yaml:2:"}},
		{"tag", "node:\n  name: !!str a\n", []string{"noria.yaml:2:", "tag"}},
		{"syntax", "node:\n  name: [a\n", []string{"noria.yaml:"}},
		{"tab", "node:\n\tname: a\n", []string{"noria.yaml:2:"}},
		{"deep", strings.Repeat("[\n", 1000), []string{"noria.yaml:101:1: more than 100 brackets"}},
		{"wide", "node:\n  name: " + strings.Repeat("x", 5000) + "\n", []string{"noria.yaml:2:4097: line has more than 4096 bytes"}},
		{"number for a name", "5:\n  name: a\n", []string{"noria.yaml:1:1", `"5" is no name`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := told(t, c.text, nil)
			if err == nil {
				t.Fatalf("%q is accepted", c.text)
			}
			rest := err.Error()
			for _, w := range c.want {
				var ok bool
				if _, rest, ok = strings.Cut(rest, w); !ok {
					t.Fatalf("%q gives\n%v\nwant %q", c.text, err, c.want)
				}
			}
		})
	}
}

// A wrong value is told even where a flag overrules it: the file will be used without the flag some day.
func TestOverruledIsChecked(t *testing.T) {
	if _, err := told(t, "listen:\n  api: here\n", nil, "--api", "127.0.0.1:1"); err == nil {
		t.Error("a wrong field is accepted because a flag overrules it")
	}
}

// config check says what serve would.
func TestConfigCheck(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		status int
		want   string
	}{
		"fine":  {"node:\n  name: a\nlisten:\n  api: :0\n", statusFine, "is fine: 2 fields"},
		"empty": {"", statusFine, "is fine: 0 fields"},
		"value": {"listen:\n  api: x\n", statusUsage, ":2:8: listen.api"},
		"both":  {"listen:\n  peer: 0.0.0.0:1\n", statusUsage, "--advertise-peer"},
		"node":  {"node:\n  name: " + strings.Repeat("x", 200) + "\n", statusUsage, "200 bytes"},
	} {
		path := filepath.Join(t.TempDir(), "noria.yaml")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		status, out, errs := once(t, nil, "config", "check", path)
		if status != c.status || !strings.Contains(out+errs, c.want) || !strings.Contains(out+errs, path) {
			t.Errorf("%s: config check ends with %d, %q, %q, want %d and %q", name, status, out, errs, c.status, c.want)
		}
	}
}

// A file that is too large is not read to its end.
func TestHugeFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "huge.yaml")
	if err := os.WriteFile(path, make([]byte, strict.MaxText+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readFile(path); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("readFile: %v, want that it is too large", err)
	}
}

// All settings can be listed.
func TestConfigFields(t *testing.T) {
	_, out, _ := once(t, nil, "config", "fields")
	golden(t, "config-fields.txt", out)
}

// Whatever is in a file, reading it ends with settings or an error that a terminal can show; what it sets can be set again.
func FuzzFile(f *testing.F) {
	for _, seed := range []string{
		"node:\n  name: a\n", "cluster:\n  join: [a:1, b:2]\n", "a: &x\n  b: *x\n", "listen: {api: :0}\n", "--- |\n x\n", "? a\n: b\n",
		"node:\n  max_keys: 0x10\n", "{", "- - -", "node:\n  name: >\n    a\n    b\n", "%YAML 1.2\n---\n", "<<: a", "!!x y", "\"\\x", ": :",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var s settings
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		addSettings(flags, &s)
		n, err := fromFile(flags, "noria.yaml", b, nil)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "noria.yaml:") {
				t.Errorf("error %q does not name the file", err)
			}
			return
		}
		if again, err := fromFile(flags, "noria.yaml", b, nil); err != nil || len(again.settings) != len(n.settings) {
			t.Errorf("read again: %d fields, %v, want %d", len(again.settings), err, len(n.settings))
		}
	})
}
