package identity

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
)

// Whatever a key file says, it is read or refused; what was read names somebody for each key, whose hash it says.
func FuzzKeyFile(f *testing.F) {
	hash := HashKey("secret")
	for _, text := range []string{
		"", "keys:", "keys: []", "keys:\n  - {sha256: " + hash + ", id: kim}", "keys:\n- sha256: " + hash + "\n  id: 7\n  attributes: {a: b}",
		"keys:\n- &a {sha256: 1}\n- *a", "---\n---\nkeys: null", "\t", "keys: [{", "? a\n: b", "!!map {}", "- |\n  a", "a: *b", "\xff: 1",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		ring, err := parseKeys("keys.yaml", text)
		if (ring == nil) != (err != nil) {
			t.Fatalf("parseKeys is %v, %v", ring, err)
		}
		for digest, c := range ring {
			if c.ID == "" || c.Anonymous || !strings.Contains(strings.ToLower(string(text)), hex.EncodeToString(digest[:])) {
				t.Errorf("%x is %+v's", digest[:], c)
			}
		}
	})
}

// HashKey is SHA-256 and nothing else, so that other tools can make it.
func TestHashKey(t *testing.T) {
	const want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // FIPS 180-2, appendix B.1
	if got := HashKey("abc"); got != want || len(got) != 2*sha256.Size {
		t.Errorf("HashKey is %s, want %s", got, want)
	}
	for n := range 1000 {
		secret := strings.Repeat("k", n)
		if got, want := digestOf(secret), sha256.Sum256([]byte(secret)); got != want {
			t.Errorf("digestOf of %d bytes is %x, want %x", n, got, want)
		}
	}
}
