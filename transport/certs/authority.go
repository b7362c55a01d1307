package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// An Authority signs certificates: for development, and for small fleets without one of their own.
type Authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// early is how much before now certificates begin, because clocks differ.
const early = time.Minute

// NewAuthority returns one with a new key and the name, which is good from now on for life.
func NewAuthority(name string, now time.Time, life time.Duration) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := newTemplate(name, now, life)
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &Authority{cert, key}, err
}

// LoadAuthority returns the one whose certificate and private key, in PEM, are given.
func LoadAuthority(cert, key []byte) (*Authority, error) {
	pair, err := keyPair(cert, key)
	if err != nil {
		return nil, err
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || !pair.Leaf.IsCA {
		return nil, errors.New("not the certificate of a CA")
	}
	return &Authority{pair.Leaf, signer}, nil
}

// PEM returns the certificate and the private key.
func (a *Authority) PEM() (cert, key []byte, err error) { return encode(a.cert.Raw, a.key) }

// Ends returns until when the Authority is good.
func (a *Authority) Ends() time.Time { return a.cert.NotAfter }

// Issue returns a new certificate for the names, and its private key, in PEM. It is good for servers and clients, from now
// on for life, but no longer than the Authority. Of the names those with :// are URIs, addresses IPs, and others DNS names;
// the first is the subject's too.
func (a *Authority) Issue(now time.Time, life time.Duration, names ...string) (cert, key []byte, err error) {
	if len(names) == 0 {
		return nil, nil, errors.New("a certificate for nobody")
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := newTemplate(names[0], now, life)
	if template.NotAfter.After(a.cert.NotAfter) {
		template.NotAfter = a.cert.NotAfter
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, name := range names {
		if err := addName(template, name); err != nil {
			return nil, nil, err
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	return encode(der, private)
}

// newTemplate returns what all certificates have.
func newTemplate(name string, now time.Time, life time.Duration) *x509.Certificate {
	const most = 64 // characters of a common name
	if len(name) > most {
		name = name[:most]
	}
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: name, Organization: []string{"Noria"}},
		NotBefore: now.Add(-early), NotAfter: now.Add(life),
	}
}

// addName makes c one for name.
func addName(c *x509.Certificate, name string) error {
	if strings.Contains(name, "://") {
		u, err := url.Parse(name)
		if err != nil {
			return err
		}
		c.URIs = append(c.URIs, u)
		return nil
	}
	if ip, err := netip.ParseAddr(name); err == nil {
		c.IPAddresses = append(c.IPAddresses, net.IP(ip.Unmap().AsSlice()))
		return nil
	}
	if name == "" || strings.ContainsAny(name, " /:\\\"\r\n\t") {
		return fmt.Errorf("%q is no DNS name", clip(name))
	}
	c.DNSNames = append(c.DNSNames, name)
	return nil
}

// encode returns a certificate and its key in PEM.
func encode(der []byte, key crypto.Signer) (certPEM, keyPEM []byte, err error) {
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), nil
}

// NamesOf returns the names of the first certificate in b, in PEM, as Issue takes them.
func NamesOf(b []byte) ([]string, error) {
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, errors.New("not PEM")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, u := range c.URIs {
		names = append(names, u.String())
	}
	names = append(names, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names, nil
}
