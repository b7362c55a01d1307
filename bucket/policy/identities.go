package policy

import "time"

// Identities say where a caller's identity comes from. They are asked in the order of the fields; the first that the
// request carries counts, and a bad one is an error: its sender is not anonymous.
type Identities struct {
	Keys   *Keys          // nil for none
	JWT    *JWT           // nil for none
	Header *TrustedHeader // nil for none

	// AnonymousTier is the tier of callers without identity. Default: "anonymous".
	AnonymousTier string
}

// Keys are API keys in a file.
type Keys struct {
	// File is the path of a YAML file with a list under keys: of {sha256: HEX, id: ..., tier: ..., org: ..., attributes: {k: v}}.
	File string

	// Header is the canonical name of the header that has the key. "" means both Authorization, as a bearer token, and X-Api-Key.
	Header string
}

// JWT are JSON web tokens and how they are checked. Either JWKSFile or JWKSURL is set.
type JWT struct {
	// Header is the canonical name of the header that has the token. "" means Authorization, where a bearer token has three
	// parts with dots between.
	Header string

	JWKSFile string
	JWKSURL  string        // http or https
	Refresh  time.Duration // how often the key set is read again; default 5m

	Issuer     string   // "" for any
	Audience   []string // one of them has to be the token's; none for any
	Algorithms []string // of HS256, RS256, ES256 and EdDSA; by default all but HS256

	// IDClaim, TierClaim and OrgClaim are names of claims; dots lead into nested ones. Defaults: sub, tier, org.
	IDClaim, TierClaim, OrgClaim string

	// Leeway is by how much clocks may differ. Default: 30s.
	Leeway time.Duration
}

// A TrustedHeader names headers in which a trusted proxy says who the caller is. They are believed from
// Policy.TrustedProxies only.
type TrustedHeader struct {
	ID        string // canonical name, never ""
	Tier, Org string // canonical names, "" for none
}
