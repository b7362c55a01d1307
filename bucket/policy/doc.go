// Package policy says which limits a request meets, under which keys. It reads the rules from YAML and is pure: it knows
// no network, opens no files and reads no clock.
package policy
