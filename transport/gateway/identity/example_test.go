package identity_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/noriahq/noria/bucket/policy"
	"github.com/noriahq/noria/transport/gateway/identity"
)

func ExampleNew() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	keys := filepath.Join(dir, "keys.yaml")
	text := "keys:\n  - sha256: " + identity.HashKey("sk-alice") + "\n    id: alice\n    tier: pro\n"
	if err := os.WriteFile(keys, []byte(text), 0o600); err != nil {
		panic(err)
	}

	f, err := identity.New(identity.Config{
		Identities:     policy.Identities{Keys: &policy.Keys{File: keys}},
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	})
	if err != nil {
		panic(err)
	}
	// f.Run, in a goroutine, reads the file again when it changes.

	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = "10.0.0.1:4711"
	r.Header.Set("X-Forwarded-For", "6.6.6.6, 2001:db8:1:2::7")
	r.Header.Set("Authorization", "Bearer sk-alice")
	caller, err := f.Caller(r)
	fmt.Println(caller.ID, caller.Tier, err, f.ClientIP(r))

	r.Header.Set("Authorization", "Bearer sk-mallory")
	_, err = f.Caller(r)
	fmt.Println(err)
	fmt.Println(identity.Challenge(err))
	// Output:
	// alice pro <nil> 2001:db8:1:2::
	// bad credentials: the API key is not known
	// Bearer realm="noria", error="invalid_token", error_description="the API key is not known"
}
