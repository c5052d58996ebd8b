package link

import (
	"encoding/binary"
	"net/netip"
)

// IPv4 (RFC 791): version and header length, …, protocol at 9, source at 12, destination
// at 16. TCP (RFC 9293): ports at 0 and 2, sequence number at 4, acknowledgment at 8,
// data offset at 12, flags at 13, checksum at 16.
const (
	ipHeader  = 20
	tcpHeader = 20
	protoTCP  = 6

	flagFIN = 0x01
	flagSYN = 0x02
	flagRST = 0x04
	flagACK = 0x10
)

func destination(p []byte) (netip.Addr, bool) {
	if len(p) < ipHeader || p[0]>>4 != 4 {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(p[16:20])), true
}

// tcp returns the TCP segment of an IPv4 packet, nil if it holds none from its beginning.
func tcp(p []byte) []byte {
	size := int(p[0]&15) * 4
	fragment := binary.BigEndian.Uint16(p[6:]) & 0x1fff
	if p[9] != protoTCP || fragment != 0 || size < ipHeader || len(p) < size+tcpHeader {
		return nil
	}
	return p[size:]
}

// opens tells whether a packet asks for a new TCP connection.
func opens(p []byte) bool {
	t := tcp(p)
	return t != nil && t[13]&(flagSYN|flagACK) == flagSYN
}

// resetFor is what the other end of a packet's TCP connection would answer if it knew of
// none; nil if there is no answer. p is a packet that destination knows.
func resetFor(p []byte) []byte {
	t := tcp(p)
	if t == nil || t[13]&flagRST != 0 {
		return nil
	}
	r := make([]byte, ipHeader+tcpHeader)
	r[0], r[8], r[9] = 4<<4|ipHeader/4, 64, protoTCP
	binary.BigEndian.PutUint16(r[2:], uint16(len(r)))
	copy(r[12:16], p[16:20])
	copy(r[16:20], p[12:16])
	binary.BigEndian.PutUint16(r[10:], checksum(0, r[:ipHeader]))
	s := r[ipHeader:]
	copy(s[0:2], t[2:4])
	copy(s[2:4], t[0:2])
	s[12] = tcpHeader / 4 << 4
	if t[13]&flagACK != 0 {
		s[13] = flagRST
		copy(s[4:8], t[8:12]) // what the other end would send next
	} else {
		s[13] = flagRST | flagACK
		size := max(0, len(t)-int(t[12]>>4)*4)
		for _, flag := range []byte{flagSYN, flagFIN} {
			if t[13]&flag != 0 {
				size++
			}
		}
		binary.BigEndian.PutUint32(s[8:], binary.BigEndian.Uint32(t[4:])+uint32(size))
	}
	pseudo := uint32(protoTCP) + tcpHeader
	binary.BigEndian.PutUint16(s[16:], checksum(sum(pseudo, r[12:20]), s))
	return r
}

// checksum is the Internet checksum (RFC 1071) of what is summed up already and b.
func checksum(begin uint32, b []byte) uint16 {
	s := sum(begin, b)
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}

func sum(s uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}
