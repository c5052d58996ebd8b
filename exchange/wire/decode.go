package wire

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/p2pnode/p2pnode/block"
)

// Protobuf wire types.
const (
	typeVarint  = 0
	typeFixed64 = 1
	typeBytes   = 2
	typeFixed32 = 5
)

// Decode reads one message, without its length prefix. Payloads are slices of
// buf, which must not be changed afterwards. Entries and presences that name
// nothing we could ever have (identity CIDs, CIDs over block.CIDSizeMax) are
// left out.
func Decode(buf []byte) (Message, error) {
	var m Message
	err := fields(buf, func(num int, n uint64, b []byte) error {
		switch {
		case num == 1 && b != nil:
			return m.wantlist(b)
		case num == 2 && b != nil:
			return m.payload(Payload{Prefix: v0, Data: b})
		case num == 3 && b != nil:
			return m.decodePayload(b)
		case num == 4 && b != nil:
			return m.presence(b)
		case num == 5 && b == nil:
			m.Pending = int(max(0, min(int64(int32(n)), math.MaxInt32)))
		}
		return nil
	})
	if err != nil {
		return Message{}, err
	}
	return m, nil
}

func (m *Message) wantlist(buf []byte) error {
	return fields(buf, func(num int, n uint64, b []byte) error {
		switch {
		case num == 1 && b != nil:
			return m.entry(b)
		case num == 2 && b == nil:
			m.Full = n != 0
		}
		return nil
	})
}

func (m *Message) entry(buf []byte) error {
	if len(m.Entries) == EntriesMax {
		return fmt.Errorf("wantlist of over %d entries: %w", EntriesMax, ErrLimit)
	}
	var e Entry
	var name []byte
	err := fields(buf, func(num int, n uint64, b []byte) error {
		switch {
		case num == 1 && b != nil:
			name = b
		case b != nil:
		case num == 2:
			e.Priority = int32(n)
		case num == 3:
			e.Cancel = n != 0
		case num == 4:
			e.Have = n == 1
		case num == 5:
			e.SendDontHave = n != 0
		}
		return nil
	})
	if err != nil {
		return err
	}
	c, ok, err := readCID(name)
	if err != nil || !ok {
		return err
	}
	e.Cid = c
	m.Entries = append(m.Entries, e)
	return nil
}

func (m *Message) presence(buf []byte) error {
	if len(m.Presences) == PresencesMax {
		return fmt.Errorf("over %d presences: %w", PresencesMax, ErrLimit)
	}
	p := Presence{Have: true}
	var name []byte
	err := fields(buf, func(num int, n uint64, b []byte) error {
		switch {
		case num == 1 && b != nil:
			name = b
		case num == 2 && b == nil:
			p.Have = n == 0
		}
		return nil
	})
	if err != nil {
		return err
	}
	c, ok, err := readCID(name)
	if err != nil || !ok {
		return err
	}
	p.Cid = c
	m.Presences = append(m.Presences, p)
	return nil
}

func (m *Message) decodePayload(buf []byte) error {
	var prefix, data []byte
	err := fields(buf, func(num int, _ uint64, b []byte) error {
		switch {
		case num == 1 && b != nil:
			prefix = b
		case num == 2 && b != nil:
			data = b
		}
		return nil
	})
	if err != nil {
		return err
	}
	p, err := readPrefix(prefix)
	if err != nil {
		return err
	}
	if p.MhType == multihash.IDENTITY {
		return nil // names itself: nobody asks a peer for it
	}
	return m.payload(Payload{Prefix: p, Data: data})
}

func (m *Message) payload(p Payload) error {
	if len(p.Data) > block.SizeMax {
		return fmt.Errorf("block of %d bytes: %w", len(p.Data), ErrLimit)
	}
	if len(m.Payloads) == PayloadsMax {
		return fmt.Errorf("over %d blocks: %w", PayloadsMax, ErrLimit)
	}
	m.Payloads = append(m.Payloads, p)
	return nil
}

// readCID returns false for CIDs that are well formed but never worth asking
// a peer for.
func readCID(b []byte) (cid.Cid, bool, error) {
	if len(b) > block.CIDSizeMax {
		return cid.Undef, false, nil
	}
	c, err := cid.Cast(b)
	if err != nil {
		return cid.Undef, false, fmt.Errorf("CID %x: %w", b, ErrMalformed)
	}
	return c, c.Prefix().MhType != multihash.IDENTITY, nil
}

func readPrefix(b []byte) (cid.Prefix, error) {
	var v [4]uint64
	for i := range v {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > math.MaxInt32 {
			return cid.Prefix{}, fmt.Errorf("block prefix: %w", ErrMalformed)
		}
		v[i], b = n, b[size:]
	}
	if len(b) != 0 || v[0] > 1 {
		return cid.Prefix{}, fmt.Errorf("block prefix: %w", ErrMalformed)
	}
	return cid.Prefix{Version: v[0], Codec: v[1], MhType: v[2], MhLength: int(v[3])}, nil
}

// fields calls visit for each field of a protobuf message: with its number and
// bytes (never nil) if it is length-delimited, with its number and value if it
// is a varint. Fixed-width fields are stepped over.
func fields(buf []byte, visit func(num int, n uint64, b []byte) error) error {
	for len(buf) > 0 {
		key, size := binary.Uvarint(buf)
		num := key >> 3
		if size <= 0 || num == 0 || num > math.MaxInt32 {
			return fmt.Errorf("field key: %w", ErrMalformed)
		}
		buf = buf[size:]
		var n uint64
		var b []byte
		switch key & 7 {
		case typeVarint:
			if n, size = binary.Uvarint(buf); size <= 0 {
				return fmt.Errorf("field %d: %w", num, ErrMalformed)
			}
		case typeBytes:
			length, head := binary.Uvarint(buf)
			if head <= 0 || length > uint64(len(buf)-head) {
				return fmt.Errorf("field %d: %w", num, ErrMalformed)
			}
			size = head + int(length)
			b = buf[head:size:size]
		case typeFixed64, typeFixed32:
			size = 8
			if key&7 == typeFixed32 {
				size = 4
			}
			if len(buf) < size {
				return fmt.Errorf("field %d: %w", num, ErrMalformed)
			}
			buf = buf[size:]
			continue
		default:
			return fmt.Errorf("field %d of wire type %d: %w", num, key&7, ErrMalformed)
		}
		if err := visit(int(num), n, b); err != nil {
			return err
		}
		buf = buf[size:]
	}
	return nil
}
