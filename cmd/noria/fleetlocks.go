package main

import (
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/spf13/pflag"
)

// lock gives the node s of f what its file in the folder of --secure says of certificates, keys and tokens.
func (f *fleet) lock(s *settings) error {
	if f.secure == "" {
		return nil
	}
	path := filepath.Join(f.secure, s.name+".yaml")
	b, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return usagef("--secure: there is no %s: make it with \"noria config init --tls --dir %s %s\"", path, f.secure, s.name)
	}
	if err != nil {
		return err
	}
	var said settings
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	addSettings(flags, &said)
	if _, err := fromFile(flags, path, b, nil); err != nil {
		return err
	}
	s.guards, s.label = said.guards, said.label
	return nil
}

// secured returns what a line of curl needs to ask a fleet of --secure: the token's file and the CA. It is empty without.
func (f *fleet) secured(tokens string) string {
	if f.secure == "" {
		return ""
	}
	return " --cacert " + filepath.Join(f.secure, fileCA) + ` -H "Authorization: Bearer $(cut -d' ' -f2 ` + filepath.Join(f.secure, tokens) + `)"`
}

// scheme returns that of the ports of f.
func (f *fleet) scheme() string {
	if f.secure == "" {
		return "http://"
	}
	return "https://"
}
