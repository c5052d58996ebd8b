package commit_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

func heads(ids ...byte) *commit.Heads {
	h := &commit.Heads{Doc: commit.ID{9}}
	for _, b := range ids {
		id := commit.ID{b}
		h.Heads = append(h.Heads, commit.Parent{ID: id, Signature: commit.Sign(key(b), h.Doc, id)})
	}
	return h
}

func TestHeadsRoundTrip(t *testing.T) {
	for _, h := range []*commit.Heads{heads(), heads(1), heads(1, 2, 200)} {
		b, err := h.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := commit.DecodeHeads(b); err != nil || !reflect.DeepEqual(got, h) {
			t.Errorf("got %+v (%v), want %+v", got, err, h)
		}
	}
	if _, err := heads(2, 1).Encode(); !errors.Is(err, commit.ErrLimit) {
		t.Errorf("out of order: got %v", err)
	}
	h := heads(1)
	h.Heads[0].Signature = nil
	if _, err := h.Encode(); !errors.Is(err, commit.ErrMalformed) {
		t.Errorf("without a signature: got %v", err)
	}
}

func FuzzDecodeHeads(f *testing.F) {
	b, err := heads(1, 2).Encode()
	if err != nil {
		f.Fatal(err)
	}
	good := b.RawData()
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(append(bytes.Clone(good), 0))
	f.Add([]byte{0x83, 2})
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := block.New(data, block.Prefix{Codec: cid.DagCBOR})
		if err != nil {
			return
		}
		h, err := commit.DecodeHeads(b)
		if err != nil {
			if !errors.Is(err, commit.ErrMalformed) && !errors.Is(err, commit.ErrVersion) {
				t.Fatal(err)
			}
			return
		}
		again, err := h.Encode()
		if err != nil || again.Cid() != b.Cid() {
			t.Fatalf("%x is written as %x (%v)", data, again.RawData(), err)
		}
	})
}
