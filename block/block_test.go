package block_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	_ "github.com/multiformats/go-multihash/register/blake2"
	_ "github.com/multiformats/go-multihash/register/blake3"

	"github.com/p2pnode/p2pnode/block"
)

const blake2b256 = multihash.BLAKE2B_MIN + 31

// Every allowed function agrees with the multihash library's own.
func TestNewAgreesWithMultihash(t *testing.T) {
	data := []byte("the quick brown fox")
	for _, code := range []uint64{multihash.SHA2_256, multihash.SHA2_512, multihash.BLAKE3, blake2b256} {
		b, err := block.New(data, block.Prefix{Codec: cid.Raw, Hash: code})
		if err != nil {
			t.Fatalf("0x%x: %v", code, err)
		}
		want, err := cid.V1Builder{Codec: cid.Raw, MhType: code, MhLength: -1}.Sum(data)
		if err != nil {
			t.Fatal(err)
		}
		if b.Cid() != want {
			t.Errorf("0x%x: got %s, want %s", code, b.Cid(), want)
		}
		if _, err := block.Verify(want, data); err != nil {
			t.Errorf("0x%x: %v", code, err)
		}
	}
}

func TestNewV0(t *testing.T) {
	b, err := block.New([]byte{}, block.Prefix{Codec: cid.DagProtobuf, V0: true})
	if err != nil {
		t.Fatal(err)
	}
	// The empty dag-pb node, well known to every IPFS user.
	if got, want := b.Cid().String(), "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, err := block.New(nil, block.Prefix{Codec: cid.Raw, V0: true}); !errors.Is(err, block.ErrHashFunction) {
		t.Errorf("CIDv0 of raw: got %v, want ErrHashFunction", err)
	}
}

func TestVerifyRefuses(t *testing.T) {
	data := []byte("data")
	sum := func(code uint64, size int) cid.Cid {
		digest := bytes.Repeat([]byte{7}, size)
		mh, err := multihash.Encode(digest, code)
		if err != nil {
			t.Fatal(err)
		}
		return cid.NewCidV1(cid.Raw, mh)
	}
	digest := sha256.Sum256(data)
	short, _ := multihash.Encode(digest[:20], multihash.SHA2_256)

	var mismatch *block.MismatchError
	if _, err := block.Verify(sum(multihash.SHA2_256, 32), data); !errors.As(err, &mismatch) {
		t.Errorf("wrong bytes: got %v, want a MismatchError", err)
	}
	for name, c := range map[string]struct {
		cid  cid.Cid
		want error
	}{
		"truncated digest": {cid.NewCidV1(cid.Raw, short), block.ErrHashFunction},
		"sha1":             {sum(multihash.SHA1, 20), block.ErrHashFunction},
		"md5":              {sum(0xd5, 16), block.ErrHashFunction},
		"long identity":    {sum(multihash.IDENTITY, block.IdentitySizeMax+1), block.ErrHashFunction},
		"long CID":         {sum(multihash.IDENTITY, block.CIDSizeMax), block.ErrCIDSize},
		"undefined":        {cid.Undef, block.ErrUndefined},
	} {
		if _, err := block.Verify(c.cid, data); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if err := block.Check(c.cid); !errors.Is(err, c.want) {
			t.Errorf("check %s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestSizeLimit(t *testing.T) {
	var size *block.SizeError
	big := make([]byte, block.SizeMax+1)
	if _, err := block.New(big, block.Prefix{Codec: cid.Raw}); !errors.As(err, &size) {
		t.Errorf("New: got %v, want a SizeError", err)
	}
	b, err := block.New(big[:block.SizeMax], block.Prefix{Codec: cid.Raw})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := block.Verify(b.Cid(), big); !errors.As(err, &size) {
		t.Errorf("Verify: got %v, want a SizeError", err)
	}
}

func TestInline(t *testing.T) {
	mh, err := multihash.Sum([]byte("tiny"), multihash.IDENTITY, -1)
	if err != nil {
		t.Fatal(err)
	}
	b, ok := block.Inline(cid.NewCidV1(cid.Raw, mh))
	if !ok || string(b.RawData()) != "tiny" {
		t.Errorf("got %q, %v", b.RawData(), ok)
	}
	if _, err := block.Verify(b.Cid(), []byte("tiny")); err != nil {
		t.Error(err)
	}
	other, err := block.New([]byte("x"), block.Prefix{Codec: cid.Raw})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := block.Inline(other.Cid()); ok {
		t.Error("a hash carries no bytes")
	}
}

func TestNotFoundIsRecognised(t *testing.T) {
	err := fmt.Errorf("read: %w", &block.NotFoundError{})
	if !errors.Is(err, block.ErrNotFound) {
		t.Error("NotFoundError is not ErrNotFound")
	}
}

// FuzzVerify: whatever the CID and the bytes, Verify never panics and never
// admits bytes that the multihash library would not.
func FuzzVerify(f *testing.F) {
	b, err := block.New([]byte("seed"), block.Prefix{Codec: cid.Raw})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b.Cid().Bytes(), []byte("seed"))
	f.Add([]byte{0x12, 0x20}, []byte(""))
	f.Add([]byte{1, 0x55, 0, 4, 't', 'i', 'n', 'y'}, []byte("tiny"))
	f.Fuzz(func(t *testing.T, name, data []byte) {
		c, err := cid.Cast(name)
		if err != nil {
			return
		}
		b, err := block.Verify(c, data)
		if err != nil {
			return
		}
		sum, err := c.Prefix().Sum(b.RawData())
		if err != nil || sum.Hash().B58String() != c.Hash().B58String() {
			t.Fatalf("admitted %x for %s (%v)", data, c, err)
		}
	})
}

func ExampleNew() {
	b, err := block.New([]byte("hello\n"), block.Prefix{Codec: cid.Raw})
	if err != nil {
		panic(err)
	}
	fmt.Println(b.Cid())
	// Output: bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am
}

func ExampleVerify() {
	c := cid.MustParse("bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am")
	_, err := block.Verify(c, []byte("goodbye\n"))
	fmt.Println(err)
	// Output: verify bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am: the 8 bytes do not hash to it
}
