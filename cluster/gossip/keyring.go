package gossip

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/memberlist"
)

// MaxKeys is the most keys of a Keyring.
const MaxKeys = 16

// ErrKey is wrapped by errors about keys that are not as they should be, or not there.
var ErrKey = errors.New("bad gossip key")

// A Keyring has the keys that encrypt gossip with AES-GCM: what is sent is encrypted with the first, what comes may be with
// any of them, and with none it is dropped. So a new key is first installed at all members, then used by all, and then the
// old one removed from all. It is safe for concurrent use, also by several Gossips.
type Keyring struct {
	save func(keys [][]byte) error
	ring *memberlist.Keyring

	mu   sync.Mutex // held while ring is changed
	keys [][]byte   // those of ring, never changed in place; guarded by mu
}

// NewKeyring returns the keyring of keys, the one to use first; there is at least one. save, where it is not nil, is told
// all keys before each change of them, so that it can keep them for the next run; its error keeps the change from being
// made. Errors wrap ErrKey.
func NewKeyring(keys [][]byte, save func(keys [][]byte) error) (*Keyring, error) {
	keys, err := checkKeys(keys)
	if err != nil {
		return nil, err
	}
	ring, err := memberlist.NewKeyring(keys, keys[0])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	if save == nil {
		save = func([][]byte) error { return nil }
	}
	return &Keyring{save: save, ring: ring, keys: keys}, nil
}

// checkKeys returns keys without those that come twice, or what is wrong with them.
func checkKeys(keys [][]byte) ([][]byte, error) {
	var all [][]byte
	for _, k := range keys {
		if n := len(k); n != 16 && n != 24 && n != 32 {
			return nil, fmt.Errorf("%w: it has %d bytes, want 16, 24 or 32", ErrKey, n)
		}
		if !contains(all, k) {
			all = append(all, bytes.Clone(k))
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: there is none", ErrKey)
	}
	if len(all) > MaxKeys {
		return nil, fmt.Errorf("%w: %d keys, want at most %d", ErrKey, len(all), MaxKeys)
	}
	return all, nil
}

func contains(keys [][]byte, key []byte) bool {
	return slices.ContainsFunc(keys, func(k []byte) bool { return bytes.Equal(k, key) })
}

// KeyID returns what people call a key by: the first 16 hexadecimal digits of its SHA-256, which do not give it away.
func KeyID(key []byte) string {
	sum := sha256.Sum256(append([]byte("noria gossip key "), key...))
	return hex.EncodeToString(sum[:8])
}

// IDs returns the ids of the keys, the one in use first.
func (k *Keyring) IDs() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	ids := make([]string, len(k.keys))
	for i, key := range k.keys {
		ids[i] = KeyID(key)
	}
	return ids
}

// Install makes key understood, but not used. One that is there stays as it is. Errors wrap ErrKey, or are those of save.
func (k *Keyring) Install(key []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if contains(k.keys, key) {
		return nil
	}
	return k.change(append(slices.Clone(k.keys), key))
}

// Use encrypts with the key with the id from now on. Errors wrap ErrKey, or are those of save.
func (k *Keyring) Use(id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	i, err := k.find(id)
	if err != nil || i == 0 {
		return err
	}
	rest := slices.Delete(slices.Clone(k.keys), i, i+1)
	return k.change(append([][]byte{k.keys[i]}, rest...))
}

// Remove makes the key with the id not understood any more. One that is not there is removed already. Errors wrap ErrKey,
// also for the key in use, or are those of save.
func (k *Keyring) Remove(id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	i, err := k.find(id)
	switch {
	case err != nil:
		return nil // that is what was wanted
	case i == 0:
		return fmt.Errorf("%w: %s is in use: use another one first", ErrKey, id)
	}
	return k.change(slices.Delete(slices.Clone(k.keys), i, i+1))
}

// Reload makes the keys those that load returns, which are not saved: it is where they come from. While load runs nobody
// else changes them. It says whether they were others. Errors wrap ErrKey, or are those of load, and change nothing.
func (k *Keyring) Reload(load func() ([][]byte, error)) (changed bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	keys, err := load()
	if err != nil {
		return false, err
	}
	if keys, err = checkKeys(keys); err != nil {
		return false, err
	}
	if slices.EqualFunc(keys, k.keys, bytes.Equal) {
		return false, nil
	}
	return true, k.set(keys)
}

// find returns which key has the id. It is called under mu.
func (k *Keyring) find(id string) (int, error) {
	for i, key := range k.keys {
		if KeyID(key) == id {
			return i, nil
		}
	}
	return 0, fmt.Errorf("%w: there is none with the id %.16q", ErrKey, id)
}

// change saves keys and goes by them. It is called under mu.
func (k *Keyring) change(keys [][]byte) error {
	keys, err := checkKeys(keys)
	if err != nil {
		return err
	}
	if err := k.save(keys); err != nil {
		return err
	}
	return k.set(keys)
}

// set goes by keys: at no time is one of them, or one of those before, both wanted and missing. It is called under mu.
func (k *Keyring) set(keys [][]byte) error {
	for _, key := range keys {
		if err := k.ring.AddKey(key); err != nil {
			return fmt.Errorf("%w: %w", ErrKey, err)
		}
	}
	if err := k.ring.UseKey(keys[0]); err != nil {
		return fmt.Errorf("%w: %w", ErrKey, err)
	}
	for _, old := range k.keys {
		if !contains(keys, old) {
			if err := k.ring.RemoveKey(old); err != nil {
				return fmt.Errorf("%w: %w", ErrKey, err)
			}
		}
	}
	k.keys = keys
	return nil
}

// MaxKeyFile is the most bytes of a file of keys.
const MaxKeyFile = 64 << 10

// ParseKeys reads the keys of a file: one a line, in base64, the one to use first. A # at the start of a line begins a
// comment. There is at least one. Errors wrap ErrKey and tell the line, and nothing of what it says.
func ParseKeys(b []byte) ([][]byte, error) {
	if len(b) > MaxKeyFile {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrKey, MaxKeyFile)
	}
	var keys [][]byte
	number := 0
	for line := range strings.Lines(string(b)) {
		number++
		text := strings.TrimSpace(line)
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		key, err := ParseKey(text)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if contains(keys, key) {
			return nil, fmt.Errorf("line %d: %w: it is there before", number, ErrKey)
		}
		if keys = append(keys, key); len(keys) > MaxKeys {
			return nil, fmt.Errorf("line %d: %w: more than %d keys", number, ErrKey, MaxKeys)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: there is none: want one a line, in base64", ErrKey)
	}
	return keys, nil
}

// ParseKey reads one key in base64. Errors wrap ErrKey and tell nothing of the key.
func ParseKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: not base64", ErrKey)
	}
	if n := len(key); n != 16 && n != 24 && n != 32 {
		return nil, fmt.Errorf("%w: it has %d bytes, want 16, 24 or 32", ErrKey, n)
	}
	return key, nil
}

// FormatKeys returns what ParseKeys reads.
func FormatKeys(keys [][]byte) []byte {
	var b []byte
	for _, k := range keys {
		b = base64.StdEncoding.AppendEncode(b, k)
		b = append(b, '\n')
	}
	return b
}
