package identity

import (
	"crypto/sha256"
	"encoding/hex"
	"sync/atomic"

	"github.com/noriahq/noria/bucket/policy"
	"github.com/noriahq/noria/transport/watch"
)

// HashKey returns the SHA-256 of an API key in hexadecimal, which stands for the key in a key file. It is neither salted
// nor slow, so that a request can be answered in a microsecond: whoever reads the file can try out keys. None can be found
// so that was drawn from 128 random bits; one that somebody thought up can.
func HashKey(secret string) string {
	sum := digestOf(secret)
	return hex.EncodeToString(sum[:])
}

// digestOf returns the SHA-256 of secret. It reads it in pieces, because a []byte of the whole would be allocated.
func digestOf(secret string) (sum [sha256.Size]byte) {
	var piece [4 * sha256.BlockSize]byte
	h := sha256.New()
	for len(secret) > 0 {
		n := copy(piece[:], secret)
		h.Write(piece[:n])
		secret = secret[n:]
	}
	h.Sum(sum[:0])
	return sum
}

// A keyRing says whose an API key is by its SHA-256. Nobody changes it. To look up by the hash tells nothing by the time it takes:
// who does not know the key cannot choose how much of its hash is right.
type keyRing map[[sha256.Size]byte]*policy.Caller

// keys are the API keys of a file.
type keys struct {
	file *watch.Files
	ring atomic.Pointer[keyRing]
}

// newKeys returns the keys in the file at path.
func newKeys(path string) (*keys, error) {
	k := new(keys)
	k.file = watch.New(maxKeyFile, func(contents [][]byte) error {
		ring, err := parseKeys(path, contents[0])
		if err == nil {
			k.ring.Store(&ring)
		}
		return err
	}, path)
	if err := k.file.Read(); err != nil {
		return nil, err
	}
	return k, nil
}

// owner returns whose the key with the SHA-256 digest is, nil for nobody.
func (k *keys) owner(digest *[sha256.Size]byte) *policy.Caller {
	return (*k.ring.Load())[*digest]
}
