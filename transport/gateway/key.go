package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"strconv"
	"strings"
)

// A Key says by what a client is known. ParseKey makes one; the zero value is none.
type Key struct {
	header string // canonical name; empty for the address
	text   string
}

// clientIP is the text of the Key that is the client's address.
const clientIP = "client.ip"

// ParseKey reads a Key:
//
//	client.ip       the address that the connection comes from; IPv6 addresses by their /64, because one client has all of it
//	header.NAME     the value of that header, such as header.X-Api-Key
//
// A proxy in front of the gateway is one client by client.ip: no header is believed to say otherwise. Where the header is
// missing, empty or there twice the address stands in. Nobody checks its value here: the upstream must, or who invents
// values has a bucket for each. Values are often secrets, so only their hashes become keys.
func ParseKey(s string) (Key, error) {
	if s == clientIP {
		return Key{text: s}, nil
	}
	name, ok := strings.CutPrefix(s, "header.")
	if !ok {
		return Key{}, fmt.Errorf("%w: key is %q, want client.ip or header.NAME such as header.X-Api-Key", ErrConfig, clip(s))
	}
	if !isToken(name) {
		return Key{}, fmt.Errorf("%w: key names the header %q, want a header's name such as X-Api-Key", ErrConfig, clip(name))
	}
	name = textproto.CanonicalMIMEHeaderKey(name)
	if name == "Host" {
		return Key{}, fmt.Errorf("%w: key is header.Host, which says where a request goes and not who sends it", ErrConfig)
	}
	return Key{header: name, text: "header." + name}, nil
}

// String returns k as ParseKey reads it.
func (k Key) String() string { return k.text }

// of returns the key of r's client.
func (k Key) of(r *http.Request) string {
	if k.header != "" {
		if v := r.Header[k.header]; len(v) == 1 && v[0] != "" {
			return join(k.text, hash(v[0]))
		}
	}
	return join(clientIP, address(r.RemoteAddr))
}

// address returns the part of a connection's remote address that is one client: an IPv4 address or an IPv6 /64.
func address(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote // a listener without ports, such as a Unix socket
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return clip(host)
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	net64, err := ip.Prefix(64)
	if err != nil {
		return ip.String()
	}
	return net64.String()
}

// join makes one key of several parts. Each is preceded by its length, so that no two lists of parts give one key.
func join(parts ...string) string {
	b := make([]byte, 0, 64)
	for _, p := range parts {
		b = strconv.AppendInt(b, int64(len(p)), 10)
		b = append(b, ':')
		b = append(b, p...)
	}
	return string(b)
}

// hash returns 128 bits of v's SHA-256 in hexadecimal.
func hash(v string) string {
	sum := sha256.Sum256([]byte(v))
	return hex.EncodeToString(sum[:16])
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

// clip cuts s to a length that fits an error and a key.
func clip(s string) string {
	const most = 64
	if len(s) > most {
		s = s[:most]
	}
	return strings.ToValidUTF8(s, "")
}
