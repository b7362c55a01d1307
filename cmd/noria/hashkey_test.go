package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noriahq/noria/bucket/policy"
	"github.com/noriahq/noria/transport/gateway/identity"
)

const drawn = "sk-5d41402abc4b2a76b9719d911017c592"

// hashKey runs config hash-key with stdin.
func hashKey(stdin string, env []string, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	p := &process{stdin: strings.NewReader(stdin), stdout: &out, stderr: &errs, env: environ(env)}
	status = p.run(append([]string{"config", "hash-key"}, args...))
	return status, out.String(), errs.String()
}

// What is printed is what it was, and never the key.
func TestHashKey(t *testing.T) {
	var all strings.Builder
	for _, c := range []struct {
		name, stdin string
		env, args   []string
	}{
		{"plain", drawn + "\n", nil, nil},
		{"without a line's end", drawn, nil, []string{"--id", "alice"}},
		{"from Windows", drawn + "\r\n", nil, []string{"--id", "alice", "--tier", "pro", "--org", "acme"}},
		{"JSON", drawn, nil, []string{"--id", "alice", "--tier", "pro", "--output", "json"}},
		{"given", "", nil, []string{"--key", drawn, "--id", "alice"}},
		{"from the environment", "", []string{"NORIA_KEY_SECRET=" + drawn, "NORIA_KEY_ID=alice"}, nil},
		{"quoted", drawn, nil, []string{"--id", `Alice: "A" #1`, "--tier", "true", "--org", "42"}},
		{"short", "secret\n", nil, nil},
	} {
		status, out, errs := hashKey(c.stdin, c.env, c.args...)
		if key := strings.TrimSpace(c.stdin); status != statusFine || strings.Contains(out+errs, drawn) || key != "" && strings.Contains(out+errs, key) {
			t.Errorf("%s: ends with %d, %q, %q", c.name, status, out, errs)
		}
		all.WriteString("# " + c.name + "\n" + out + errs)
	}
	golden(t, "hash-key.txt", all.String())
}

// Keys that could not come in a header are refused and not shown.
func TestHashKeyRefuses(t *testing.T) {
	for name, stdin := range map[string]string{
		"a space": "secret key", "a space before": " secret", "two lines": "secret\nsecret\n", "empty line": "\nsecret", "no ASCII": "secr\u00e9t",
		"a byte": "secret\x00", "long": "secret" + strings.Repeat("k", 600), "endless": strings.Repeat("secret", 1<<20),
	} {
		status, out, errs := hashKey(stdin, nil)
		if status != statusUsage || out != "" || strings.Contains(errs, "secr") || !strings.Contains(errs, "API key") {
			t.Errorf("%s: ends with %d, %q, %q", name, status, out, errs)
		}
	}
}

// An argument is refused without being shown once more.
func TestHashKeyArgument(t *testing.T) {
	if status, out, errs := hashKey("", nil, "secret"); status != statusUsage || strings.Contains(out+errs, "secret") {
		t.Errorf("ends with %d, %q, %q", status, out, errs)
	}
}

// The entries, in YAML and in JSON, make a key file by which the key's owner is found.
func TestHashKeyMakesKeyFiles(t *testing.T) {
	for _, who := range []entry{
		{ID: "alice", Tier: "pro", Org: "acme"},
		{ID: "42", Tier: "true", Org: "null"},
		{ID: `a: "b" #c`, Tier: "- x", Org: "{y}"},
		{ID: "\u00e9\U0001f680", Tier: "~", Org: "[z"},
		{ID: "*a", Tier: "&b", Org: "!c"},
		{ID: " a ", Tier: "0x10", Org: "1e3"},
	} {
		args := []string{"--id", who.ID, "--tier", who.Tier, "--org", who.Org}
		_, text, _ := hashKey(drawn, nil, args...)
		_, data, _ := hashKey(drawn, nil, append(args, "--output", "json")...)
		if !json.Valid([]byte(data)) {
			t.Errorf("%q is no JSON", data)
		}
		for _, file := range []string{"keys:\n" + text, "keys:\n  - " + data} {
			path := filepath.Join(t.TempDir(), "keys.yaml")
			if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := identity.New(identity.Config{Identities: policy.Identities{Keys: &policy.Keys{File: path}}})
			if err != nil {
				t.Errorf("%s\n%v", file, err)
				continue
			}
			got, err := f.Caller(&http.Request{Header: http.Header{"X-Api-Key": {drawn}}})
			if diff := cmp.Diff(&policy.Caller{ID: who.ID, Tier: who.Tier, Org: who.Org}, got); err != nil || diff != "" {
				t.Errorf("%s\n%v (-want +got):\n%s", file, err, diff)
			}
		}
	}
}
