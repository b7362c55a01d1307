package interop

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/noriahq/noria/e2e/harness"
	"github.com/noriahq/noria/transport/gateway/demo"
	"github.com/noriahq/noria/transport/gateway/identity"
)

// rules is what the gateway goes by. The tier of a user is the begin of the key, up to the dot.
const rules = `
identities:
  keys: {file: %q}

limits:
  user:
    key: identity.id
    tiers: {plenty: 1000/s, slow: 1/3s, few: quota 1, tokens: 1000/s}
  tokens:
    unit: llm_tokens
    key: identity.id
    tiers: {tokens: quota 300, default: 1000000/s}

routes:
  openai:
    kind: openai
    path: /v1
    upstreams: %[2]s
    limits: [user, tokens]
  anthropic:
    kind: anthropic
    path: /v1/messages
    upstreams: %[2]s
    limits: [user, tokens]
`

// startGateway starts three nodes in front of a demo upstream, and returns the base URL of one. users are the keys that it
// knows.
func startGateway(t *testing.T, users ...string) (url string) {
	t.Helper()
	upstream := httptest.NewServer(demo.New(demo.Config{}))
	t.Cleanup(upstream.Close)
	dir := t.TempDir()
	var keys strings.Builder
	keys.WriteString("keys:\n")
	for _, user := range users {
		tier, _, _ := strings.Cut(user, ".")
		fmt.Fprintf(&keys, "  - {sha256: %s, id: %s, tier: %s}\n", identity.HashKey(user), user, tier)
	}
	keyFile, policyFile := filepath.Join(dir, "keys.yaml"), filepath.Join(dir, "noria.yaml")
	write(t, keyFile, keys.String())
	write(t, policyFile, fmt.Sprintf(rules, keyFile, upstream.URL))
	fleet := harness.Start(t, 3, harness.Options{Args: []string{"--config", policyFile, "--peer-wait", "30s"}})
	return "http://" + fleet.Alive()[0].Addr.HTTP
}

// write writes a file.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
