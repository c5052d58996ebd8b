// Package wire holds the bytes by which replicas of a document tell each other what they have:
// announcements, which are gossiped, and what goes over streams of Protocol.
//
// An announcement says which heads its sender has, and may bring commits along. Numbers are
// unsigned varints, but in bundles of the shortest form:
//
//	announcement  version 1 (a byte), commits, heads, blocks
//	commits       how many the sender has that follow the horizon, or all if there is none
//	heads         how many, up to HeadsMax; of each: ID (32 bytes), author (32), signature (64)
//	blocks        how many, up to HeadsMax; of each: size, bytes; InlineMax bytes in all
//
// A stream carries one request and its answer. The asker sends the request and closes its half:
//
//	request  kind (a byte), topic (32), proof (32), then
//	         1 pull:   commits, how many landmarks, up to LandmarksMax; of each: ID (32)
//	         2 redeem: secret (32)
//	         3 survey: how many ranges, up to reconcile.RangesMax; of each: point, point
//	answer   status (a byte); if that is OK, to a pull: a bundle, and to a survey, of each range:
//	         1 list:   how many, up to reconcile.ListMax; of each: prefix (8)
//	         2 parts:  how many, up to reconcile.PartsMax; of each: point, print (16)
//	point    gen, prefix (8)
//
// A pull says how many commits its sender has. If the landmarks leave much of that in the dark,
// the answer may be to make a survey first, see package reconcile, and to name landmarks that
// leave out nothing. Who has, or does not want to, says 0.
//
// The ranges of a survey are in their order, and do not overlap.
//
// The topic is a hash of the document's name, and the proof one of the name and of both peers,
// so who does not know the name learns nothing from a request. A bundle is one zstd frame:
//
//	bundle   a base or nothing, sections, then 0 (a byte)
//	base     2 (a byte), size, up to BaseSizeMax, and bytes: see crdt.Base
//	section  1 (a byte), heads, blocks
//	heads    how many, up to SectionHeadsMax; of each: ID (32), signature (64)
//	blocks   of each: size, which is not 0, and bytes; then 0
//
// The blocks of a section come parents before children, and with those before and those that
// the asker named they are all that its heads follow. So each section can be applied by itself,
// and memory is bounded by that of one. Who does not have what is before a horizon any more sends
// the document as of it, a base, to those who have not named it among their landmarks.
//
// It does not know whether a commit may be applied, nor whether a signature is right.
//
// Invariant: what is decoded is in proportion to the bytes that came, but for the blocks of a
// bundle, which are bounded by SectionSizeMax, and a base, which is by BaseSizeMax, as bytes that were compressed can be much more.
package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/reconcile"
)

// Protocol is that of requests.
const Protocol = protocol.ID("/p2pnode/crdt/sync/1")

// Limits on messages.
const (
	// HeadsMax is how many heads, or blocks, an announcement has.
	HeadsMax = 16
	// InlineMax is how many bytes the blocks of an announcement have.
	InlineMax = 4 << 10
	// LandmarksMax is how many commits a pull names.
	LandmarksMax = 4096
	// SectionHeadsMax is how many heads a section has.
	SectionHeadsMax = 4096
	// SectionSizeMax is how much memory the blocks of a section take while they wait to be
	// applied, in bytes: their own, and BlockSize for each.
	SectionSizeMax = 48 << 20
	// BaseSizeMax is how many bytes a base takes in a bundle.
	BaseSizeMax = crdt.CertificateSize + crdt.BaseSizeMax
	// BlockSize is what a block takes besides its bytes.
	BlockSize = 512
	// RequestSizeMax is the longest request in bytes.
	RequestSizeMax = 1 + 2*32 + binary.MaxVarintLen64 + binary.MaxVarintLen16 + LandmarksMax*32
)

// Errors of decoding.
var (
	// ErrMalformed means bytes that are no such message.
	ErrMalformed = errors.New("malformed message")
	// ErrLimit means a message over a limit of this package.
	ErrLimit = errors.New("message over the limit")
	// ErrVersion means an announcement in a newer format, or a request of an unknown kind.
	ErrVersion = errors.New("message of an unknown version")
)

// Head is a newest commit, its author, and the author's signature.
type Head struct {
	ID        commit.ID
	Author    commit.Author
	Signature commit.Signature
}

// Announcement says which heads somebody has.
type Announcement struct {
	Commits uint64
	Heads   []Head
	Blocks  []block.Block
}

// Append appends the announcement's bytes. It must be within the limits.
func (a *Announcement) Append(b []byte) []byte {
	b = append(b, 1)
	b = binary.AppendUvarint(b, a.Commits)
	b = binary.AppendUvarint(b, uint64(len(a.Heads)))
	for _, h := range a.Heads {
		b = append(append(append(b, h.ID[:]...), h.Author[:]...), h.Signature[:]...)
	}
	b = binary.AppendUvarint(b, uint64(len(a.Blocks)))
	for _, c := range a.Blocks {
		b = binary.AppendUvarint(b, uint64(c.Size()))
		b = append(b, c.RawData()...)
	}
	return b
}

// DecodeAnnouncement reads an announcement, whose blocks are commits, as far as bytes tell.
func DecodeAnnouncement(data []byte) (a Announcement, err error) {
	p := &parser{rest: data}
	if v := p.byte(); p.err == nil && v != 1 {
		return a, fmt.Errorf("decode announcement: version %d: %w", v, ErrVersion)
	}
	a.Commits = p.number()
	for range p.upTo(HeadsMax) {
		var h Head
		copy(h.ID[:], p.take(len(h.ID)))
		copy(h.Author[:], p.take(len(h.Author)))
		copy(h.Signature[:], p.take(len(h.Signature)))
		a.Heads = append(a.Heads, h)
	}
	size := 0
	for range p.upTo(HeadsMax) {
		n := p.upTo(InlineMax - size)
		size += n
		raw := p.take(n)
		if p.err != nil {
			break
		}
		c, err := commit.Block(raw)
		if err != nil {
			return a, fmt.Errorf("decode announcement: %w", err)
		}
		a.Blocks = append(a.Blocks, c)
	}
	if err := p.end(); err != nil {
		return Announcement{}, fmt.Errorf("decode announcement: %w", err)
	}
	return a, nil
}

// Kind is what a request is for.
type Kind byte

// The kinds of requests.
const (
	Pull   Kind = 1 + iota // sends what is not known to the landmarks
	Redeem                 // makes a writer, or what the ticket says, of the peer that asks
	Survey                 // tells what there is in ranges of commits
)

// Status is how an answer begins.
type Status byte

// The statuses.
const (
	OK      Status = iota
	Unknown        // no such document, or the proof is wrong
	Busy           // another time
	Refused        // the ticket is used up, or never was
	Unclear        // the landmarks say too little: a survey should be made
	statuses
)

func (s Status) String() string {
	return [...]string{"ok", "document is unknown there", "peer is busy", "ticket is not valid", "landmarks say too little"}[s]
}

// StatusOf reads a status.
func StatusOf(b byte) (Status, error) {
	if b >= byte(statuses) {
		return 0, fmt.Errorf("read status %d: %w", b, ErrMalformed)
	}
	return Status(b), nil
}

// Request is what the asker wants.
type Request struct {
	Kind    Kind
	Topic   [32]byte
	Proof   [32]byte
	Commits uint64            // of a Pull: how many the asker has, or 0 for whatever there is
	Have    []commit.ID       // of a Pull
	Secret  [32]byte          // of a Redeem
	Ranges  []reconcile.Range // of a Survey
}

// Append appends the request's bytes. It must be within the limits.
func (r *Request) Append(b []byte) []byte {
	b = append(b, byte(r.Kind))
	b = append(append(b, r.Topic[:]...), r.Proof[:]...)
	switch r.Kind {
	case Redeem:
		return append(b, r.Secret[:]...)
	case Survey:
		return appendRanges(b, r.Ranges)
	}
	b = binary.AppendUvarint(b, r.Commits)
	b = binary.AppendUvarint(b, uint64(len(r.Have)))
	for _, id := range r.Have {
		b = append(b, id[:]...)
	}
	return b
}

// DecodeRequest reads a request.
func DecodeRequest(data []byte) (r Request, err error) {
	p := &parser{rest: data}
	r.Kind = Kind(p.byte())
	copy(r.Topic[:], p.take(len(r.Topic)))
	copy(r.Proof[:], p.take(len(r.Proof)))
	switch r.Kind {
	case Pull:
		r.Commits = p.number()
		for range p.upTo(LandmarksMax) {
			var id commit.ID
			copy(id[:], p.take(len(id)))
			r.Have = append(r.Have, id)
			if p.err != nil {
				break
			}
		}
	case Redeem:
		copy(r.Secret[:], p.take(len(r.Secret)))
	case Survey:
		r.Ranges = p.ranges()
	default:
		if p.err == nil {
			return r, fmt.Errorf("decode request: kind %d: %w", r.Kind, ErrVersion)
		}
	}
	if err := p.end(); err != nil {
		return Request{}, fmt.Errorf("decode request: %w", err)
	}
	return r, nil
}

// Topic is the name of a document for those who know it: whoever hears it cannot tell which it is.
func Topic(doc commit.ID) [32]byte {
	return sha256.Sum256(append([]byte("p2pnode/crdt/topic/1\x00"), doc[:]...))
}

// Proof shows the peer to that the peer from knows the name of a document.
func Proof(doc commit.ID, from, to peer.ID) (p [32]byte) {
	h := sha256.New()
	h.Write([]byte("p2pnode/crdt/proof/1\x00"))
	h.Write(doc[:])
	for _, id := range []peer.ID{from, to} {
		h.Write(binary.AppendUvarint(nil, uint64(len(id))))
		h.Write([]byte(id))
	}
	h.Sum(p[:0])
	return p
}

// parser takes bytes apart. After an error it yields zeros.
type parser struct {
	rest []byte
	err  error
}

func (p *parser) fail(err error) {
	if p.err == nil {
		p.err = err
	}
	p.rest = nil
}

func (p *parser) take(n int) []byte {
	if n > len(p.rest) {
		p.fail(ErrMalformed)
		return nil
	}
	b := p.rest[:n:n]
	p.rest = p.rest[n:]
	return b
}

func (p *parser) byte() byte {
	if b := p.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (p *parser) number() uint64 {
	n, size := binary.Uvarint(p.rest)
	if size <= 0 || size > 1 && p.rest[size-1] == 0 {
		p.fail(ErrMalformed)
		return 0
	}
	p.rest = p.rest[size:]
	return n
}

func (p *parser) upTo(most int) int {
	n := p.number()
	if n > uint64(most) {
		p.fail(ErrLimit)
		return 0
	}
	return int(n)
}

func (p *parser) end() error {
	if p.err == nil && len(p.rest) > 0 {
		return fmt.Errorf("%d bytes too many: %w", len(p.rest), ErrMalformed)
	}
	return p.err
}
