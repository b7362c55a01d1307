package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// all returns the commands under root that are ours, in depth.
func all(root *cobra.Command) []*cobra.Command {
	commands := []*cobra.Command{root}
	for _, c := range root.Commands() {
		commands = append(commands, all(c)...)
	}
	return commands
}

// Every command has a help with an example, and the help is what it was.
func TestHelp(t *testing.T) {
	for _, c := range all(newRoot(&process{})) {
		path := strings.Fields(c.CommandPath())[1:]
		t.Run(strings.Join(path, " "), func(t *testing.T) {
			status, out, errs := once(t, nil, append(path, "--help")...)
			if status != statusFine || errs != "" {
				t.Errorf("--help ends with %d, %q", status, errs)
			}
			if !strings.Contains(out, "Examples:\n  noria ") {
				t.Errorf("--help has no example")
			}
			golden(t, "help/"+strings.Join(append([]string{"noria"}, path...), "-")+".txt", out)
		})
	}
}

// Every flag of a command that is ours has a variable of its own section, and usage that names its value.
func TestFlagsHaveVariables(t *testing.T) {
	for _, c := range all(newRoot(&process{})) {
		seen := map[string]string{}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			env := annotation(f, inEnv)
			if f.Name == "help" {
				return
			}
			if !strings.HasPrefix(env, "NORIA_") || strings.Count(env, "_") < 2 || env != strings.ToUpper(env) {
				t.Errorf("%s --%s has the variable %q, want NORIA_<SECTION>_<NAME>", c.CommandPath(), f.Name, env)
			}
			if other := seen[env]; other != "" {
				t.Errorf("%s --%s and --%s have the same variable %s", c.CommandPath(), f.Name, other, env)
			}
			seen[env] = f.Name
			if f.DefValue != "" {
				if err := f.Value.Set(f.DefValue); err != nil {
					t.Errorf("%s --%s: its default %q is not valid: %v", c.CommandPath(), f.Name, f.DefValue, err)
				}
			}
		})
	}
}

// What is wrong with a command line is said in words, with what would be right, and ends with status 2.
func TestBadUsage(t *testing.T) {
	for _, c := range []struct {
		line string // arguments, with | between
		env  []string
		want []string // in this order
	}{
		{line: "chek", want: []string{`unknown command "chek"`, "did you mean noria check?", `"noria --help"`}},
		{line: "sevre", want: []string{"did you mean noria serve?"}},
		{line: "xyzzy", want: []string{`unknown command "xyzzy"`, `"noria --help"`}},
		{line: "config|chck|f", want: []string{"did you mean noria config check?"}},
		{line: "--nodes|3", want: []string{"unknown flag --nodes"}},
		{line: "serve|--gosip|x", want: []string{"unknown flag --gosip", "did you mean --gossip?", `"noria serve --help"`}},
		{line: "serve|--max_keys|5", want: []string{"did you mean --max-keys?"}},
		{line: "serve|--serve", want: []string{"did you mean --serve-alone?"}},
		{line: "serve|-x", want: []string{"unknown flag -x"}},
		{line: "serve|more", want: []string{`"more" is one argument too many`, "noria serve"}},
		{line: "serve|--max-keys", want: []string{"--max-keys has no value"}},
		{line: "serve|--max-keys|many", want: []string{`--max-keys is "many"`, "want a whole number of at least 1"}},
		{line: "serve|--max-keys|0", want: []string{"want a whole number of at least 1"}},
		{line: "serve|--peer-wait|50", want: []string{`--peer-wait is "50"`, "want a duration from 1ms to 1m, such as 50ms"}},
		{line: "serve|--api|8083", want: []string{`--api is "8083"`, "want HOST:PORT"}},
		{line: "serve|--role|gatway", want: []string{"want holder or gateway", `did you mean "gateway"?`}},
		{line: "serve|--api|127.0.0.1:99999", want: []string{"a port from 0 to 65535"}},
		{line: "serve|--join|here:0", want: []string{"a port from 1 to 65535"}},
		{line: "serve|--log-level|inof", want: []string{"want debug, info, warn or error", `did you mean "info"?`}},
		{line: "serve|--upstream|localhost:80", want: []string{"want http:// or https://"}},
		{line: "serve|--key|clientip", want: []string{"want client.ip or header.NAME"}},
		{line: "serve|--limit|100", want: []string{"--limit", "bad limit"}},
		{line: "serve|--serve-alone=perhaps", want: []string{"want true or false"}},
		{line: "serve|--name|", want: []string{"--name", "not empty"}},
		{line: "serve|--peer|0.0.0.0:0", want: []string{"--advertise-peer"}},
		{line: "serve|--gossip|elsewhere:0", want: []string{"elsewhere"}},
		{line: "serve|--config|testdata/none.yaml", want: []string{"testdata/none.yaml"}},
		{line: "serve", env: []string{"NORIA_LISTEN_API=x"}, want: []string{`NORIA_LISTEN_API is "x"`, "want HOST:PORT"}},
		{line: "serve", env: []string{"NORIA_LISTEN_API=x", "NORIA_NODE_MAX_KEYS=y"}, want: []string{"NORIA_NODE_MAX_KEYS", "NORIA_LISTEN_API"}},
		{line: "fleet|--nodes|0", want: []string{"want a whole number from 1 to 50"}},
		{line: "fleet|--free-prots", want: []string{"did you mean --free-ports?"}},
		{line: "check", want: []string{"KEY is missing", "noria check [KEY LIMIT]"}},
		{line: "check|k", want: []string{"LIMIT is missing"}},
		{line: "check|k|100/s|burst|200", want: []string{`"burst" is one argument too many`, "needs quotes"}},
		{line: "check|k|100", want: []string{`"100"`, "bad limit"}},
		{line: "check|--all|k", want: []string{"want KEY=LIMIT"}},
		{line: "check|--all|k=9", want: []string{`"9"`, "bad limit"}},
		{line: "check|k|1/s|--cost|-1", want: []string{"want a whole number from 0 to 1000000000"}},
		{line: "check|k|1/s|--on-lost|alow", want: []string{`did you mean "allow"?`}},
		{line: "check|k|1/s|--node|x", want: []string{"want HOST:PORT"}},
		{line: "status|--output|yaml", want: []string{"want text or json"}},
		{line: "ring" + strings.Repeat("|k", 101), want: []string{"101 keys, want at most 100"}},
		{line: "bench|10.0.0.1:8081", want: []string{"--allow-remote"}},
		{line: "bench|http://example.com:80", want: []string{"example.com is not this machine", "--allow-remote"}},
		{line: "bench|nowhere", want: []string{`target "nowhere"`, "http://HOST:PORT"}},
		{line: "bench|--stream|http://127.0.0.1:1", want: []string{"--stream goes with gRPC"}},
		{line: "bench|--batch|10|--keys|5", want: []string{"--batch is 10 and --keys 5"}},
		{line: "bench|--duration|25h", want: []string{"want a duration from 1ms to 24h"}},
		{line: "config|check", want: []string{"FILE is missing"}},
		{line: "config|hash-kye", want: []string{"did you mean noria config hash-key?"}},
		{line: "config|hash-key", want: []string{"no API key on standard input"}},
		{line: "config|hash-key|secret", want: []string{"an API key is no argument"}},
		{line: "config|hash-key|--key|a b", want: []string{"--key", "want 1 to 512 letters, digits and signs without space"}},
		{line: "config|hash-key|--key|k|--id|a\nb", want: []string{"--id", "want a text of 1 to 256 bytes"}},
	} {
		t.Run(c.line, func(t *testing.T) {
			status, out, errs := once(t, c.env, strings.Split(c.line, "|")...)
			if status != statusUsage || out != "" {
				t.Errorf("ends with %d and prints %q, want %d and nothing", status, out, statusUsage)
			}
			rest, ok := errs, strings.HasPrefix(errs, "noria: ")
			for _, w := range c.want {
				var found bool
				_, rest, found = strings.Cut(rest, w)
				ok = ok && found
			}
			if !ok {
				t.Errorf("says\n%s\nwant %q", errs, c.want)
			}
		})
	}
}

// Nobody listens: status 3, and what to look at.
func TestUnreachable(t *testing.T) {
	nobody := "127.0.0.1:1"
	for _, line := range [][]string{
		{"check", "k", "1/s", "--node", nobody},
		{"status", "--node", nobody},
		{"ring", "k", "--admin", nobody},
		{"bench", nobody},
		{"bench", "http://" + nobody},
	} {
		status, out, errs := once(t, nil, line...)
		if status != statusUnreachable || out != "" || !strings.Contains(errs, nobody) || !strings.Contains(errs, "refused") {
			t.Errorf("%q ends with %d, %q, %q; want %d and that %s refused", line, status, out, errs, statusUnreachable, nobody)
		}
	}
}

// Who asks the wrong port of a node, or with the wrong certificates, is told what would be right.
func TestWrongPort(t *testing.T) {
	_, ready := serveNode(t, "--name", "a")
	dir := filepath.Join(t.TempDir(), "secure")
	if status, _, errs := once(t, nil, "config", "init", "--tls", "--dir", dir, "a"); status != statusFine {
		t.Fatal(errs)
	}
	for _, c := range []struct {
		want string
		line []string
	}{
		{"is it a node's --grpc address?", []string{"check", "k", "1/s", "--node", ready.Admin}},
		{"does not speak Noria's API", []string{"status", "--node", ready.Peer}},
		{"is it a node's --admin address?", []string{"ring", "k", "--admin", ready.GRPC}},
		{"is it a node's --admin address?", []string{"events", "--admin", ready.GRPC}},
		{"does not speak TLS", []string{"check", "k", "1/s", "--node", ready.GRPC, "--secure", dir}},
		{"does not speak TLS", []string{"ring", "k", "--admin", ready.Admin, "--secure", dir}},
	} {
		if status, _, errs := once(t, nil, c.line...); status != statusUnreachable || !strings.Contains(errs, c.want) {
			t.Errorf("%q ends with %d, %q; want %d and %q", c.line, status, errs, statusUnreachable, c.want)
		}
	}
}

// Completion scripts can be had for every shell.
func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		status, out, errs := once(t, nil, "completion", shell)
		if status != statusFine || !strings.Contains(out, "noria") || errs != "" {
			t.Errorf("completion %s ends with %d, %q and %d bytes", shell, status, errs, len(out))
		}
	}
}
