package block

import (
	"crypto/sha256"
	"crypto/sha512"
	"fmt"

	"github.com/multiformats/go-multihash"
	"golang.org/x/crypto/blake2b"
	"lukechampine.com/blake3"
)

// blake2b256 is the multicodec of BLAKE2b with a digest of 32 bytes.
const blake2b256 = multihash.BLAKE2B_MIN + 31

// digestSizes is the allow-list: hash function to digest length in bytes. A
// truncated digest would be easier to collide with, so only full ones pass.
var digestSizes = map[uint64]int{
	multihash.SHA2_256: 32,
	multihash.SHA2_512: 64,
	multihash.BLAKE3:   32,
	blake2b256:         32,
}

func allowed(code uint64, size int) error {
	if code == multihash.IDENTITY {
		if size > IdentitySizeMax {
			return fmt.Errorf("identity of %d bytes (limit %d): %w", size, IdentitySizeMax, ErrHashFunction)
		}
		return nil
	}
	if want, ok := digestSizes[code]; !ok || size != want {
		return fmt.Errorf("multihash 0x%x with %d bytes: %w", code, size, ErrHashFunction)
	}
	return nil
}

// sum hashes data; size is the digest length that is expected, -1 for whatever
// the function gives.
func sum(code uint64, size int, data []byte) ([]byte, error) {
	if size < 0 {
		size = digestSizes[code]
		if code == multihash.IDENTITY {
			size = len(data)
		}
	}
	if err := allowed(code, size); err != nil {
		return nil, err
	}
	switch code {
	case multihash.SHA2_256:
		d := sha256.Sum256(data)
		return d[:], nil
	case multihash.SHA2_512:
		d := sha512.Sum512(data)
		return d[:], nil
	case multihash.BLAKE3:
		d := blake3.Sum256(data)
		return d[:], nil
	case blake2b256:
		d := blake2b.Sum256(data)
		return d[:], nil
	default: // identity: allowed has refused everything else
		return data, nil
	}
}
