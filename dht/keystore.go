package dht

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/ipfs/go-libdht/kad/key/bitstr"
	"github.com/libp2p/go-libp2p-kad-dht/provider/keystore"
	"github.com/multiformats/go-multihash"

	"github.com/p2pnode/p2pnode/dht/keyspace"
)

// errKeystoreReadOnly answers changes that the reprovider has no business making.
var errKeystoreReadOnly = errors.New("change provider journal: only Provide and Unprovide do")

// journalKeys shows the journal's finished part to the stock reprovider as its
// keystore, so that there is one list of what is provided and not two that can
// differ. The reprovider reads it and never writes.
type journalKeys struct{ *journal }

var _ keystore.Keystore = journalKeys{}

func (j journalKeys) Put(context.Context, ...multihash.Multihash) ([]multihash.Multihash, error) {
	return nil, errKeystoreReadOnly
}

func (j journalKeys) Delete(context.Context, ...multihash.Multihash) error {
	return errKeystoreReadOnly
}

func (j journalKeys) Empty(context.Context) error { return errKeystoreReadOnly }

func (j journalKeys) Close() error { return nil }

func (j journalKeys) BatchSize() int { return journalBatchMax }

func (j journalKeys) Size(context.Context) (int, error) {
	done, _ := j.sizes()
	return done, nil
}

func (j journalKeys) Get(ctx context.Context, prefix bitstr.Key) ([]multihash.Multihash, error) {
	var found []multihash.Multihash
	err := j.below(ctx, prefix, func(h multihash.Multihash) bool {
		found = append(found, h)
		return true
	})
	return found, err
}

func (j journalKeys) CountKeysUpTo(ctx context.Context, prefix bitstr.Key, limit int) (int, error) {
	n := 0
	err := j.below(ctx, prefix, func(multihash.Multihash) bool {
		n++
		return limit <= 0 || n < limit
	})
	return n, err
}

func (j journalKeys) ContainsPrefix(ctx context.Context, prefix bitstr.Key) (bool, error) {
	n, err := j.CountKeysUpTo(ctx, prefix, 1)
	return n > 0, err
}

// below visits the multihashes whose keys begin with the bits of prefix, until
// visit returns false.
func (j journalKeys) below(ctx context.Context, prefix bitstr.Key, visit func(multihash.Multihash) bool) error {
	path, want := donePath(string(prefix))
	for e, err := range j.provided(ctx, path) {
		if entryErr := (*EntryError)(nil); errors.As(err, &entryErr) {
			continue
		}
		if err != nil {
			return err
		}
		if hasBits(keyspace.Of(e.hash), want) && !visit(e.hash) {
			return nil
		}
	}
	return nil
}

// donePath is the path of the smallest subtree of the journal that holds every
// key that begins with bits, and the bits that are still to be compared.
func donePath(bits string) (path, rest string) {
	var b strings.Builder
	b.WriteString(journalDone)
	for i := 0; i < pathDigits && 4*(i+1) <= len(bits); i++ {
		nibble := byte(0)
		for _, c := range bits[4*i : 4*i+4] {
			nibble = nibble<<1 | byte(c-'0')
		}
		b.WriteByte('/')
		b.WriteByte(hex.EncodeToString([]byte{nibble})[1])
	}
	return b.String(), bits
}

func hasBits(k keyspace.Key, bits string) bool {
	for i := range min(len(bits), keyspace.Size*8) {
		if k[i/8]>>(7-i%8)&1 != bits[i]-'0' {
			return false
		}
	}
	return true
}
