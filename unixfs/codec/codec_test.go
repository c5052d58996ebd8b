package codec_test

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/unixfs/codec"
)

const sample = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"

// cborLink is the sample as dag-cbor has it: tag 42, bytes, a zero byte, the CID.
func cborLink() string {
	c := cid.MustParse(sample)
	return "\xd8\x2a\x58\x25\x00" + c.KeyString()
}

func TestLinks(t *testing.T) {
	for _, c := range []struct {
		name  string
		codec uint64
		data  string
		links int // -1 means malformed
	}{
		{"raw", cid.Raw, "anything", 0},
		{"a CBOR null", cid.DagCBOR, "\xf6", 0},
		{"a CBOR link", cid.DagCBOR, cborLink(), 1},
		{"links in a CBOR list", cid.DagCBOR, "\x83" + cborLink() + "\x00" + cborLink(), 2},
		{"a link in a CBOR map", cid.DagCBOR, "\xa1\x61a\x81" + cborLink(), 1},
		{"floats and text", cid.DagCBOR, "\x82\xfb\x00\x00\x00\x00\x00\x00\x00\x00\x63abc", 0},
		{"nothing", cid.DagCBOR, "", -1},
		{"bytes after the value", cid.DagCBOR, "\x00\x00", -1},
		{"another tag", cid.DagCBOR, "\xc1\x00", -1},
		{"a link without the zero", cid.DagCBOR, "\xd8\x2a\x41\x01", -1},
		{"a link of text", cid.DagCBOR, "\xd8\x2a\x61a", -1},
		{"a list without length", cid.DagCBOR, "\x9f\x00\xff", -1},
		{"a list of 2^63", cid.DagCBOR, "\x9b\x80\x00\x00\x00\x00\x00\x00\x00", -1},
		{"a map of 2^63", cid.DagCBOR, "\xbb\x80\x00\x00\x00\x00\x00\x00\x00", -1},
		{"truncated bytes", cid.DagCBOR, "\x5a\xff\xff\xff\xff", -1},
		{"nested lists", cid.DagCBOR, strings.Repeat("\x81", 100_000) + "\x00", -1},
		{"too many links", cid.DagCBOR, "\x9a\x00\x01\x00\x01" + strings.Repeat("\xd8\x2a\x45\x00\x01\x55\x00\x00", 1<<16+1), -1},
		{"a JSON number", cid.DagJSON, "1", 0},
		{"a JSON link", cid.DagJSON, `{"/":"` + sample + `"}`, 1},
		{"links in JSON", cid.DagJSON, `{"a":[{"/":"` + sample + `"},{"/":{"bytes":"AA"}},{"x":{}}],"b":{"/":"` + sample + `"}}`, 2},
		{"a slash that is not first", cid.DagJSON, `{"a":1,"/":"x"}`, 0},
		{"not a CID", cid.DagJSON, `{"/":"hello"}`, -1},
		{"a link and more", cid.DagJSON, `{"/":"` + sample + `","a":1}`, -1},
		{"truncated JSON", cid.DagJSON, `{"a":[`, -1},
		{"two JSON values", cid.DagJSON, `1 2`, -1},
		{"nested JSON", cid.DagJSON, strings.Repeat("[", 5000) + strings.Repeat("]", 5000), -1},
		{"nested JSON bytes", cid.DagJSON, `{"/":` + strings.Repeat("[", 9999) + strings.Repeat("]", 9999) + "}", -1},
	} {
		b, err := block.New([]byte(c.data), block.Prefix{Codec: c.codec})
		if err != nil {
			t.Fatal(err)
		}
		links, err := codec.Links(b)
		var bad *codec.FormatError
		if c.links < 0 && !errors.As(err, &bad) || c.links >= 0 && (err != nil || len(links) != c.links) {
			t.Errorf("%s: %d links, %v", c.name, len(links), err)
		}
		for _, l := range links {
			if l.Cid.String() != sample {
				t.Errorf("%s: %s", c.name, l.Cid)
			}
		}
	}
}

func FuzzLinks(f *testing.F) {
	for _, s := range []string{cborLink(), "\x83" + cborLink() + "\x00" + cborLink(), "\xa1\x61a\xf6", "\xd8\x2a\x41\x01", "\x9f\xff"} {
		f.Add(uint64(cid.DagCBOR), []byte(s))
	}
	for _, s := range []string{`{"/":"` + sample + `"}`, `{"a":[{"/":{"bytes":"AA"}}]}`, `{"/":1}`, `[[[`} {
		f.Add(uint64(cid.DagJSON), []byte(s))
	}
	dir := codec.Node{Type: codec.TypeDir, Links: []codec.Link{{Name: "x", Cid: cid.MustParse(sample)}}}
	f.Add(uint64(cid.DagProtobuf), dir.Encode())
	f.Fuzz(func(t *testing.T, code uint64, data []byte) {
		b, err := block.New(data, block.Prefix{Codec: code})
		if err != nil {
			return
		}
		links, err := codec.Links(b)
		for _, l := range links {
			if block.Check(l.Cid) != nil || err != nil {
				t.Errorf("link %v with %v", l.Cid, err)
			}
		}
	})
}

// FuzzDecode takes whole nodes: the message in its block.
func FuzzDecode(f *testing.F) {
	leaf := codec.Link{Name: "00x", Cid: cid.MustParse(sample), Tsize: 5}
	two := []codec.Link{leaf, leaf}
	for _, n := range []codec.Node{
		{Type: codec.TypeDir, Links: two},
		{Type: codec.TypeFile, HasSize: true, Size: 5, BlockSizes: []uint64{5}, Links: two[:1]},
		{Type: codec.TypeShard, Data: []byte{3}, HashType: 0x22, Fanout: 8, Links: two},
		{Type: codec.TypeSymlink, Data: []byte("to"), Mode: 0o644 | fs.ModeSticky, ModTime: time.Unix(1700000000, 1)},
	} {
		f.Add(n.Encode())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		idempotent(t, data, func(data []byte) ([]byte, error) {
			b, err := block.New(data, block.Prefix{Codec: cid.DagProtobuf})
			if err != nil {
				return nil, err
			}
			n, err := codec.Decode(b)
			if err != nil {
				return nil, err
			}
			out := n.Encode()
			if len(out) != n.EncodedSize() || n.Tsize(len(out)) < uint64(len(out)) {
				t.Errorf("%d bytes, EncodedSize %d, Tsize %d", len(out), n.EncodedSize(), n.Tsize(len(out)))
			}
			return out, nil
		})
	})
}

// What decodes is encoded canonically, and then stays the same.
func FuzzDagPB(f *testing.F) {
	leaf := codec.Link{Name: "x", Cid: cid.MustParse(sample), Tsize: 5}
	f.Add((&codec.Node{Type: codec.TypeDir, Links: []codec.Link{leaf, leaf}}).Encode())
	f.Add((&codec.Node{Type: codec.TypeFile, HasSize: true, Size: 3, Data: []byte("abc")}).Encode())
	f.Add([]byte("\x0a\x00\x12\x00"))
	f.Add([]byte("\x12\x06\x0a\x04\x01\x55\x00\x00\x0a\x01a"))
	f.Fuzz(func(t *testing.T, data []byte) { idempotent(t, data, codec.RecodePB) })
}

func FuzzUnixFS(f *testing.F) {
	f.Add([]byte("\x08\x02\x12\x03abc\x18\x03"))
	f.Add([]byte("\x08\x02\x18\x06\x20\x03\x20\x03\x38\xa4\x03\x42\x0b\x08\x80\xe2\xcf\xaa\x06\x15\x01\x00\x00\x00"))
	f.Add([]byte("\x08\x05\x12\x01\x80\x28\x22\x30\x80\x02"))
	f.Add([]byte("\x08\x02\x22\x03\x01\x02\x03"))
	f.Fuzz(func(t *testing.T, data []byte) { idempotent(t, data, codec.RecodeMessage) })
}

func idempotent(t *testing.T, data []byte, recode func([]byte) ([]byte, error)) {
	once, err := recode(data)
	if err != nil {
		return
	}
	if twice, err := recode(once); err != nil || !bytes.Equal(once, twice) {
		t.Errorf("%x becomes %x, then %x, %v", data, once, twice, err)
	}
}
