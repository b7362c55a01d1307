package policy

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/noriahq/noria/bucket/policy/strict"
)

// A part is a part of a key.
type part struct {
	what attribute
	name string // of a header, canonical; of a free attribute; the text of a constant
}

// An attribute is what a part of a key is made of.
type attribute uint8

// The attributes.
const (
	constant attribute = iota
	clientIP
	identityID
	identityTier
	identityOrg
	identityAttribute
	header
	requestHost
	requestMethod
	requestPath
	routeName
	model
	grantedTier // the tier of the limit that answers for the caller's
)

// attributes are the attributes that stand alone in a policy file, in the order of their values.
func attributes() []string {
	return []string{
		clientIP: "client.ip", identityID: "identity.id", identityTier: "identity.tier", identityOrg: "identity.org",
		requestHost: "host", requestMethod: "method", requestPath: "path", routeName: "route", model: "model",
	}
}

// parsePart reads a part of a key.
func parsePart(s string) (part, error) {
	if name, ok := strings.CutPrefix(s, "header."); ok {
		name, err := headerName(name)
		return part{header, name}, err
	}
	if name, ok := strings.CutPrefix(s, "identity.attributes."); ok {
		return part{identityAttribute, name}, isLabel(name)
	}
	if text, ok := strings.CutPrefix(s, "const."); ok {
		return part{constant, text}, isLabel(text)
	}
	var known []string
	for what, name := range attributes() {
		switch name {
		case "":
		case s:
			return part{what: attribute(what)}, nil
		default:
			known = append(known, name)
		}
	}
	return part{}, fmt.Errorf("want %s, header.NAME, identity.attributes.NAME or const.TEXT%s", strings.Join(known, ", "), strict.DidYouMean(s, known, "%s"))
}

// String returns p as parsePart reads it.
func (p part) String() string {
	switch p.what {
	case header:
		return "header." + p.name
	case identityAttribute:
		return "identity.attributes." + p.name
	case constant:
		return "const." + p.name
	case grantedTier:
		return attributes()[identityTier]
	default:
		return attributes()[p.what]
	}
}

// What stands behind the length of a part says what it is, so that no value can be taken for what stands in for another.
const (
	plain   = ':' // the value
	hashed  = '#' // its hash
	address = '@' // the client's address, because there is no value
	missing = '-' // nothing: there is neither
)

// appendPart appends a value of a key's part to dst: its length, what it is, and the value, or its hash if it is long or not
// text.
func appendPart(dst []byte, mark byte, value string) []byte {
	if len(value) > maxPlain || !utf8.ValidString(value) {
		return appendHash(dst, value)
	}
	dst = strconv.AppendInt(dst, int64(len(value)), 10)
	dst = append(dst, mark)
	return append(dst, value...)
}

// appendHash appends the hash of value as a part.
func appendHash(dst []byte, value string) []byte {
	begin := len(dst)
	dst = append(dst, value...) // dst has room for long ones once it has grown, and a copy elsewhere would be an allocation
	sum := sha256.Sum256(dst[begin:])
	dst = dst[:begin]
	dst = strconv.AppendInt(dst, int64(base64.RawURLEncoding.EncodedLen(len(sum))), 10)
	dst = append(dst, hashed)
	return base64.RawURLEncoding.AppendEncode(dst, sum[:])
}

// append appends p's part of the key for q to dst.
func (p part) append(dst []byte, q *request) []byte {
	switch p.what {
	case constant:
		return appendPart(dst, plain, p.name)
	case clientIP:
		return q.appendAddress(dst, plain)
	case identityTier:
		return appendPart(dst, plain, q.tier)
	case header:
		return q.appendHeader(dst, p.name)
	case requestHost:
		return appendPart(dst, plain, plainHost(q.Host))
	case requestMethod:
		return appendPart(dst, plain, q.Method)
	case requestPath:
		return appendPart(dst, plain, plainPath(q.Path))
	case routeName:
		return appendPart(dst, plain, q.route.Name)
	case model:
		return appendPart(dst, plain, q.Model)
	case grantedTier:
		return appendPart(dst, plain, q.granted)
	default:
		return q.appendCaller(dst, p)
	}
}

// appendHeader appends the hash of the header's value: values are often secrets. Where it is missing, empty or there twice the
// client's address stands in.
func (a *Attributes) appendHeader(dst []byte, name string) []byte {
	if v := a.Header[name]; len(v) == 1 && v[0] != "" {
		return appendHash(dst, v[0])
	}
	return a.appendAddress(dst, address)
}

// appendCaller appends a part that the caller is. For what it does not have the client's address stands in.
func (a *Attributes) appendCaller(dst []byte, p part) []byte {
	if c := a.Caller; c != nil {
		text := ""
		switch {
		case p.what == identityOrg:
			text = c.Org
		case p.what == identityAttribute:
			text = c.Attributes[p.name]
		case !c.Anonymous:
			text = c.ID
		}
		if text != "" {
			return appendPart(dst, plain, text)
		}
	}
	return a.appendAddress(dst, address)
}

// appendAddress appends the client's address, without the zone of an interface, which is this machine's word.
func (a *Attributes) appendAddress(dst []byte, mark byte) []byte {
	if !a.ClientIP.IsValid() {
		return appendPart(dst, missing, "")
	}
	var space [maxPlain]byte // no address is as long, or it would be hashed like an id that says the same
	text := a.ClientIP.Unmap().WithZone("").AppendTo(space[:0])
	dst = strconv.AppendInt(dst, int64(len(text)), 10)
	dst = append(dst, mark)
	return append(dst, text...)
}
