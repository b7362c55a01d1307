package identity

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strings"

	"github.com/noriahq/noria/bucket/policy"
)

const (
	maxSecret = 8 << 10 // bytes of an API key or a token
	maxName   = 256     // bytes of a caller's id, tier or org
)

// What is wrong with credentials, for their senders.
var (
	errUnknownKey = fmt.Errorf("%w: the API key is not known", ErrCredentials)
	errTwice      = fmt.Errorf("%w: they are there more than once", ErrCredentials)
	errEmpty      = fmt.Errorf("%w: they are empty", ErrCredentials)
	errLong       = fmt.Errorf("%w: they have more than %d bytes", ErrCredentials, maxSecret)
	errScheme     = fmt.Errorf("%w: Authorization has to be Bearer and an API key or token", ErrCredentials)
	errNamed      = fmt.Errorf("%w: the identity that the proxy sent is not usable", ErrCredentials)
)

// Challenge returns the WWW-Authenticate of the 401 to a request for which Caller returned err.
func Challenge(err error) string {
	reason := strings.TrimPrefix(err.Error(), ErrCredentials.Error()+": ")
	if !errors.Is(err, ErrCredentials) || strings.ContainsAny(reason, "\"\\\r\n") {
		return `Bearer realm="noria"`
	}
	return `Bearer realm="noria", error="invalid_token", error_description="` + reason + `"`
}

// Conceal takes out of h, the header with which in goes on, what is not for those behind the gateway: API keys, which open it and
// nothing else, and the headers of Identities.Header where in does not come from a trusted proxy. Tokens stay, for who is behind
// may look into them.
func (f *Finder) Conceal(in *http.Request, h http.Header) {
	for _, s := range f.sources {
		values := in.Header[s.header]
		if s.keys && len(values) > 0 && !(s.tokens && isTokenShaped(values[0])) {
			delete(h, s.header)
		}
	}
	if f.header == nil || f.Trusts(in) {
		return
	}
	for _, name := range []string{f.header.ID, f.header.Tier, f.header.Org} {
		delete(h, name)
	}
}

// A source is a header in which API keys or tokens are looked for.
type source struct {
	header string // canonical
	bearer bool   // the scheme stands before it
	keys   bool
	tokens bool
}

// sourcesOf returns the headers that ids ask, in order. Each is there once.
func sourcesOf(ids policy.Identities) ([]source, error) {
	var all []source
	add := func(header string, is source) error {
		if !isToken(header) {
			return fmt.Errorf("%q is no name of a header", clip(header))
		}
		is.header = textproto.CanonicalMIMEHeaderKey(header)
		is.bearer = is.header == "Authorization" || is.header == "Proxy-Authorization"
		for i := range all {
			if s := &all[i]; s.header == is.header {
				s.keys, s.tokens = s.keys || is.keys, s.tokens || is.tokens
				return nil
			}
		}
		all = append(all, is)
		return nil
	}
	var wrong []error
	if k := ids.Keys; k != nil && k.Header != "" {
		wrong = append(wrong, add(k.Header, source{keys: true}))
	} else if k != nil {
		wrong = append(wrong, add("X-Api-Key", source{keys: true}), add("Authorization", source{keys: true}))
	}
	if j := ids.JWT; j != nil && j.Header != "" {
		wrong = append(wrong, add(j.Header, source{tokens: true}))
	} else if j != nil {
		wrong = append(wrong, add("Authorization", source{tokens: true}))
	}
	return all, errors.Join(wrong...)
}

// secret returns the API key or the token in the lines of s's header.
func (s *source) secret(lines []string) (string, error) {
	if len(lines) != 1 {
		return "", errTwice
	}
	secret := lines[0]
	if s.bearer {
		var ok bool
		if secret, ok = cutBearer(secret); !ok {
			return "", errScheme
		}
	}
	switch {
	case secret == "":
		return "", errEmpty
	case len(secret) > maxSecret:
		return "", errLong
	}
	return secret, nil
}

// cutBearer returns what follows the scheme of a bearer.
func cutBearer(line string) (string, bool) {
	const scheme = "Bearer"
	if len(line) < len(scheme) || !strings.EqualFold(line[:len(scheme)], scheme) {
		return "", false
	}
	rest := line[len(scheme):]
	secret := strings.TrimLeft(rest, " ")
	return strings.TrimRight(secret, " \t"), len(secret) < len(rest) || rest == ""
}

// isTokenShaped says whether s has the form of a JSON web token: three parts with dots between.
func isTokenShaped(s string) bool { return strings.Count(s, ".") == 2 }

// trusted returns h with canonical names.
func trusted(h policy.TrustedHeader) (*policy.TrustedHeader, error) {
	if !isToken(h.ID) {
		return nil, fmt.Errorf("the trusted header of the id is %q, want a header's name", clip(h.ID))
	}
	for _, name := range []*string{&h.ID, &h.Tier, &h.Org} {
		if *name != "" && !isToken(*name) {
			return nil, fmt.Errorf("%q is no name of a header", clip(*name))
		}
		*name = textproto.CanonicalMIMEHeaderKey(*name)
	}
	return &h, nil
}

// named returns the caller that a trusted proxy names in h, nil if it names none.
func named(t *policy.TrustedHeader, h http.Header) (*policy.Caller, error) {
	var c policy.Caller
	for _, part := range []struct {
		name string
		to   *string
	}{{t.ID, &c.ID}, {t.Tier, &c.Tier}, {t.Org, &c.Org}} {
		lines := h[part.name]
		if part.name == "" || len(lines) == 0 {
			continue
		}
		if len(lines) != 1 || !isName(lines[0]) {
			return nil, errNamed // two lines: one may be the client's own
		}
		*part.to = lines[0]
	}
	if c.ID == "" {
		return nil, nil //nolint:nilnil // nobody is no error
	}
	return &c, nil
}

// isName says whether s can be an id, a tier or an org: "" is none.
func isName(s string) bool {
	if len(s) > maxName {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// isToken says whether s can be the name of a header, by RFC 9110 section 5.1, of a sane length.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != "" && len(s) <= 128
}

// clip cuts s to a length that fits an error.
func clip(s string) string {
	const most = 64
	if len(s) > most {
		s = s[:most]
	}
	return strings.ToValidUTF8(s, "")
}
