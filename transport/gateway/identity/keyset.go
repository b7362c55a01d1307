package identity

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

const (
	maxSetBytes = 1 << 20
	maxSetKeys  = 256
	maxTries    = 4 // keys that one token is tried with
)

// algorithms returns those that a token may be signed with.
func algorithms() []string { return []string{"HS256", "RS256", "ES256", "EdDSA"} }

// A keySet is a JSON web key set, and the tokens that were found good by it. Nobody changes its keys.
type keySet struct {
	digest [sha256.Size]byte // of its text
	byID   map[string][]verifier
	all    []verifier
	known  *known
}

// A verifier is a key that signatures of one algorithm are checked with. A token never chooses what a key is used for.
type verifier struct {
	algorithm string
	key       any
}

// anew returns s without what is known of tokens.
func (s *keySet) anew() *keySet {
	return &keySet{digest: s.digest, byID: s.byID, all: s.all, known: new(known)}
}

// parseSet reads a key set. Keys that are not for signatures, or of a kind that is not known here, are left out, as RFC 7517
// section 5 says; it is an error if none is left.
func parseSet(b []byte) (*keySet, error) {
	var text struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(b, &text); err != nil {
		return nil, errors.New("no JSON web key set") // what err says may show some of a key
	}
	if len(text.Keys) > maxSetKeys {
		return nil, fmt.Errorf("%d keys, want at most %d", len(text.Keys), maxSetKeys)
	}
	s := &keySet{digest: sha256.Sum256(b), byID: map[string][]verifier{}, known: new(known)}
	for _, raw := range text.Keys {
		id, v, err := parseKey(raw)
		if err != nil {
			continue
		}
		s.all = append(s.all, v)
		if id != "" {
			s.byID[id] = append(s.byID[id], v)
		}
	}
	if len(s.all) == 0 {
		return nil, fmt.Errorf("none of %d keys is one to check %q with", len(text.Keys), algorithms())
	}
	return s, nil
}

// parseKey reads a key of a set. Private parts of key pairs are not looked at.
func parseKey(raw []byte) (id string, v verifier, err error) {
	var m jwkset.JWKMarshal
	if err := json.Unmarshal(raw, &m); err != nil {
		return "", verifier{}, err
	}
	if m.USE != "" && m.USE != jwkset.UseSig || len(m.KEYOPS) > 0 && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify) {
		return "", verifier{}, errKey
	}
	k, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{Private: m.KTY == jwkset.KtyOct}, jwkset.JWKValidateOptions{})
	if err != nil {
		return "", verifier{}, err
	}
	v = verifier{algorithmOf(k.Key()), k.Key()}
	fits := m.ALG == "" || string(m.ALG) == v.algorithm || m.ALG == "Ed25519" && v.algorithm == "EdDSA" // RFC 9864's name
	if v.algorithm == "" || !fits {
		return "", verifier{}, errKey
	}
	return m.KID, v, nil
}

// algorithmOf returns what key is for, "" if nothing of ours, or if it is too short (RFC 7518 sections 3.2 and 3.3).
func algorithmOf(key any) string {
	switch k := key.(type) {
	case []byte:
		if len(k) >= sha256.Size {
			return "HS256"
		}
	case *rsa.PublicKey:
		if k.N.BitLen() >= 2048 && k.N.BitLen() <= 8192 {
			return "RS256"
		}
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return "ES256"
		}
	case ed25519.PublicKey:
		return "EdDSA"
	}
	return ""
}

// keyOf returns the keys of t's signature: those of its kid, or all if it has none, that are for its algorithm. The error
// is errKey if there is none, or if s is nil. It is a jwt.Keyfunc.
func (s *keySet) keyOf(t *jwt.Token) (any, error) {
	if _, ok := t.Header["crit"]; ok {
		return nil, errToken // it asks for what is not known here: RFC 7515 section 4.1.11
	}
	if s == nil {
		return nil, errKey
	}
	keys := s.all
	if kid, ok := t.Header["kid"]; ok {
		id, ok := kid.(string)
		if !ok {
			return nil, errToken
		}
		keys = s.byID[id]
	}
	var fit jwt.VerificationKeySet
	for _, k := range keys {
		if k.algorithm == t.Method.Alg() && len(fit.Keys) < maxTries {
			fit.Keys = append(fit.Keys, k.key)
		}
	}
	if len(fit.Keys) == 0 {
		return nil, errKey
	}
	return fit, nil
}
