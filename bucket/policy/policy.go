package policy

import (
	"net/netip"
)

// A Policy is a file of limits and routes that was read and found right, with the overrides by the environment in it. Parse
// makes it. Nobody changes it afterwards, so it is safe for concurrent use.
type Policy struct {
	// Identities say who a caller is.
	Identities Identities

	// TrustedProxies are the networks whose word on a client's address and, with Identities.Header, on a caller's identity is
	// believed. None by default.
	TrustedProxies []netip.Prefix

	// IPv6Bits is how much of an IPv6 address is one client: 64 by default, because one client mostly has all of a /64.
	IPv6Bits int

	// Limits are all limits, in the order of the file.
	Limits []*Limit

	// Routes are all routes, in the order of the file, which is not the order in which they are tried.
	Routes []*Route

	// Hash is equal for nodes whose policies say the same, whatever the order of fields and lists of names, comments, and
	// defaults that are spelled out. It is the same on every machine.
	Hash uint64

	table table // of Routes
}

// A Caller is who sends a request. The zero value with Anonymous is nobody in particular.
type Caller struct {
	ID         string            // "" where Anonymous
	Tier       string            // where it is "" and the caller Anonymous, that of Identities.AnonymousTier
	Org        string            // "" for none
	Attributes map[string]string // free ones of a key, which conditions can look at
	Anonymous  bool
}

// Attributes are what limits look at in one request. Meet keeps none of them.
type Attributes struct {
	// ClientIP is the client's address, cut to its network as Policy.IPv6Bits says.
	ClientIP netip.Addr

	// Caller is who asks; nil is like nobody.
	Caller *Caller

	// Header are the request's, with canonical names: an http.Header.
	Header map[string][]string

	// Host, Method and Path are the request's; Model is what its body asks for, "" for none.
	Host, Method, Path, Model string
}
