package pack_test

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"github.com/p2pnode/p2pnode/crdt/pack"
)

func TestReader(t *testing.T) {
	b := pack.AppendUint(nil, 300)
	b = binary.AppendVarint(b, math.MinInt64)
	b = pack.AppendSized(b, "text")
	b = append(pack.AppendUint(b, 2), 7, 8)
	r := pack.NewReader(b)
	if n := r.UpTo(300); n != 300 {
		t.Errorf("got %d", n)
	}
	if n := r.Signed(); n != math.MinInt64 {
		t.Errorf("got %d", n)
	}
	if s := r.Sized(); string(s) != "text" {
		t.Errorf("got %q", s)
	}
	if n, rest := r.Count(1), r.Bytes(2); n != 2 || rest[1] != 8 {
		t.Errorf("got %d of %v", n, rest)
	}
	if r.End(); r.Err() != nil || r.Len() != 0 {
		t.Errorf("at the end: %v", r.Err())
	}
}

func TestReaderRejects(t *testing.T) {
	for name, f := range map[string]func(*pack.Reader){
		"a number that is too large":   func(r *pack.Reader) { r.UpTo(1) },
		"nothing up to less than 0":    func(r *pack.Reader) { r.Bytes(1); r.UpTo(-1) },
		"more bytes than there are":    func(r *pack.Reader) { r.Bytes(4) },
		"fewer than no bytes":          func(r *pack.Reader) { r.Bytes(-1) },
		"more things than there are":   func(r *pack.Reader) { r.Count(2) },
		"a length beyond the end":      func(r *pack.Reader) { r.Bytes(2); r.Sized(); r.Sized() },
		"bytes that are left":          func(r *pack.Reader) { r.End() },
		"a number in too many bytes":   func(r *pack.Reader) { r.Bytes(1); r.Signed() },
		"a number that does not end":   func(r *pack.Reader) { r.Bytes(2); r.Signed(); r.Signed() },
		"anything after what is wrong": func(r *pack.Reader) { r.Fail("first"); r.Bytes(0) },
	} {
		r := pack.NewReader([]byte{2, 0x80, 0})
		f(r)
		if !errors.Is(r.Err(), pack.ErrMalformed) || r.Len() != 0 || r.UpTo(9) != 0 {
			t.Errorf("%s: got %v", name, r.Err())
		}
	}
}
