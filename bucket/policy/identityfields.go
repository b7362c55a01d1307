package policy

import (
	"errors"
	"net/textproto"
	"net/url"
	"slices"
	"time"

	"github.com/noriahq/noria/bucket/policy/strict"
)

// anonymousTier is the tier of callers without identity, unless the file says otherwise.
const anonymousTier = "anonymous"

// identities is the table of identities.
func (a *draft) identities(to *Identities) []field {
	return []field{
		{name: "keys", usage: "API keys in a file", optional: true, section: func() ([]field, func(place)) { return a.keys(to) }},
		{name: "jwt", usage: "JSON web tokens", optional: true, section: func() ([]field, func(place)) { return a.jwt(to) }},
		{name: "header", usage: "headers of a trusted proxy", optional: true, section: func() ([]field, func(place)) { return a.trusted(to) }},
		scalar("anonymous_tier", "tier of callers without identity", form{kind: "tier"}, &to.AnonymousTier, anonymousTier, label),
	}
}

// keys is the table of identities.keys.
func (a *draft) keys(to *Identities) ([]field, func(place)) {
	k := &Keys{}
	table := []field{
		scalar("file", "YAML file of keys by their SHA-256; \"noria config hash-key\" makes its entries", form{kind: "path"}, &k.File, "", strict.Text),
		scalar("header", "header that has the key; both Authorization, as a bearer token, and X-Api-Key without this",
			form{kind: "header"}, &k.Header, "", headerName),
	}
	return table, func(at place) {
		to.Keys = k
		if k.File == "" {
			a.failf(at, "identities.keys has no file")
		}
	}
}

// jwt is the table of identities.jwt.
func (a *draft) jwt(to *Identities) ([]field, func(place)) {
	j := &JWT{}
	table := []field{
		scalar("header", "header that has the token; Authorization, as a bearer token, without this", form{kind: "header"}, &j.Header, "", headerName),
		scalar("jwks_file", "file of the keys that tokens are signed with, as a JSON web key set", form{kind: "path"}, &j.JWKSFile, "", strict.Text),
		scalar("jwks_url", "where the key set is asked for instead", form{kind: "url"}, &j.JWKSURL, "", urlText),
		scalar("refresh", "how often the key set is read again", form{kind: "duration"}, &j.Refresh, "5m", duration(10*time.Second, 24*time.Hour)),
		scalar("issuer", "who has to have issued a token; anyone without this", form{kind: "text"}, &j.Issuer, "", strict.Text),
		list("audience", "whom a token has to be for, one of these; anyone without this", form{kind: "text"}, &j.Audience, "", strict.Text),
		list("algorithms", "algorithms that a token may be signed by", form{kind: "algorithm", words: algorithms()},
			&j.Algorithms, "RS256, ES256, EdDSA", strict.Choice(algorithms()...)),
		scalar("id_claim", "claim that is the caller's id; dots lead into nested ones", form{kind: "claim"}, &j.IDClaim, "sub", strict.Text),
		scalar("tier_claim", "claim that is the caller's tier", form{kind: "claim"}, &j.TierClaim, "tier", strict.Text),
		scalar("org_claim", "claim that is the caller's organisation", form{kind: "claim"}, &j.OrgClaim, "org", strict.Text),
		scalar("leeway", "by how much clocks may differ", form{kind: "duration"}, &j.Leeway, "30s", duration(0, 5*time.Minute)),
	}
	return table, func(at place) {
		to.JWT = j
		j.Algorithms = slices.Compact(slices.Sorted(slices.Values(j.Algorithms)))
		switch {
		case (j.JWKSFile == "") == (j.JWKSURL == ""):
			a.failf(at, "identities.jwt wants either jwks_file or jwks_url")
		case len(j.Algorithms) == 0:
			a.failf(at, "identities.jwt.algorithms is empty, so that no token is good")
		}
	}
}

// algorithms are those that tokens may be signed by.
func algorithms() []string { return []string{"HS256", "RS256", "ES256", "EdDSA"} }

// trusted is the table of identities.header.
func (a *draft) trusted(to *Identities) ([]field, func(place)) {
	h := &TrustedHeader{}
	f := form{kind: "header"}
	table := []field{
		scalar("id", "header with the caller's id, believed from trusted_proxies only", f, &h.ID, "", headerName),
		scalar("tier", "header with the caller's tier", f, &h.Tier, "", headerName),
		scalar("org", "header with the caller's organisation", f, &h.Org, "", headerName),
	}
	return table, func(at place) {
		to.Header, a.header = h, at
		if h.ID == "" {
			a.failf(at, "identities.header has no id, the header that says who the caller is")
		}
	}
}

// label reads the name of a tier.
func label(s string) (string, error) { return s, isLabel(s) }

// urlText reads a URL and keeps its text.
func urlText(s string) (string, error) {
	u, err := strict.URL(s)
	if err != nil {
		return "", err
	}
	return u.String(), bare(u)
}

// bare refuses what does not belong into a URL of a configuration.
func bare(u *url.URL) error {
	if u.User != nil {
		return errors.New("want it without a user and a password, which would be seen by all who read the file")
	}
	if u.Fragment != "" {
		return errors.New("want it without what is behind #")
	}
	return nil
}

// canonicalHeader returns the name as http.Header has it.
func canonicalHeader(s string) string { return textproto.CanonicalMIMEHeaderKey(s) }
