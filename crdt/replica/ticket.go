package replica

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/wire"
)

// Limits on tickets.
const (
	ticketSizeMax  = 2 << 10 // bytes
	ticketAddrsMax = 8
	// TicketLife is how long a ticket makes somebody a member.
	TicketLife = 7 * 24 * time.Hour
)

const (
	ticketsPrefix = "/crdt/tickets"
	ticketMark    = "p2pdoc"
)

// Errors of tickets.
var (
	// ErrTicket means a text that is no ticket.
	ErrTicket = errors.New("not a ticket")
	// ErrRedeemed means a ticket that somebody else has used, or that is too old.
	ErrRedeemed = errors.New("ticket is not valid any more")
)

// Ticket is what somebody needs to take part in a document: its ID, where it is, and maybe a
// secret, by which the first one who comes gets a role.
type Ticket struct {
	Doc    commit.ID
	Peer   peer.AddrInfo
	Secret *[32]byte // or nil: the role is there already, or reading is all
}

var ticketText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// String is the ticket as text: "p2pdoc", and in base32 its bytes: version 1, document (32),
// 0, or 1 and the secret (32), the length of the peer's ID, that ID, and of each address its
// length and bytes. Lengths are unsigned varints.
func (t Ticket) String() string {
	b := append([]byte{1}, t.Doc[:]...)
	if t.Secret == nil {
		b = append(b, 0)
	} else {
		b = append(append(b, 1), t.Secret[:]...)
	}
	b = append(binary.AppendUvarint(b, uint64(len(t.Peer.ID))), t.Peer.ID...)
	for _, a := range t.Peer.Addrs[:min(len(t.Peer.Addrs), ticketAddrsMax)] {
		b = append(binary.AppendUvarint(b, uint64(len(a.Bytes()))), a.Bytes()...)
	}
	return ticketMark + ticketText.EncodeToString(b)
}

// ParseTicket reads a ticket.
func ParseTicket(text string) (t Ticket, err error) {
	fail := func(err error) (Ticket, error) { return Ticket{}, fmt.Errorf("read ticket: %w: %w", ErrTicket, err) }
	code, ok := strings.CutPrefix(text, ticketMark)
	if !ok || len(code) > ticketSizeMax {
		return fail(fmt.Errorf("it does not begin with %s, or is too long", ticketMark))
	}
	b, err := ticketText.DecodeString(code)
	if err != nil {
		return fail(err)
	}
	if len(b) < 34 || b[0] != 1 || b[33] > 1 || len(b) < 34+32*int(b[33]) {
		return fail(fmt.Errorf("%d bytes", len(b)))
	}
	copy(t.Doc[:], b[1:])
	secret := b[33] == 1
	if b = b[34:]; secret {
		t.Secret = (*[32]byte)(b)
		b = b[32:]
	}
	id, b, ok := cut(b)
	if !ok {
		return fail(errors.New("truncated"))
	}
	if t.Peer.ID, err = peer.IDFromBytes(id); err != nil {
		return fail(err)
	}
	for len(b) > 0 {
		var raw []byte
		if raw, b, ok = cut(b); !ok || len(t.Peer.Addrs) == ticketAddrsMax {
			return fail(errors.New("truncated"))
		}
		a, err := ma.NewMultiaddrBytes(raw)
		if err != nil {
			return fail(err)
		}
		t.Peer.Addrs = append(t.Peer.Addrs, a)
	}
	return t, nil
}

// cut takes a length and so many bytes.
func cut(b []byte) (data, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil, false
	}
	return b[size : size+int(n)], b[size+int(n):], true
}

// Invite grants an author a role, and makes a ticket by which they find the document.
func (d *Doc) Invite(ctx context.Context, author commit.Author, role commit.Role) (Ticket, error) {
	if _, err := d.Update(ctx, func(tx *crdt.Tx) error { tx.Grant(author, role); return nil }); err != nil {
		return Ticket{}, err
	}
	return d.ticket(nil)
}

// Share makes a ticket for whoever redeems it first: with a role from Write on, which this
// node must be able to grant, it gets that; else it may read. It is redeemed at this node,
// within TicketLife.
func (d *Doc) Share(ctx context.Context, role commit.Role) (Ticket, error) {
	if role < commit.Write {
		return d.ticket(nil)
	}
	mine, err := d.Role(ctx, d.replica.author)
	if err != nil {
		return Ticket{}, err
	}
	if mine < commit.Manage {
		return Ticket{}, fmt.Errorf("share %s: by %s: %w", d.id, d.replica.author, crdt.ErrRole)
	}
	var secret [32]byte
	rand.Read(secret[:]) // it never fails
	offer := offer{role: role, until: time.Now().Add(TicketLife)}
	d.replica.change.Lock() // across I/O: nothing is written of what is forgotten
	defer d.replica.change.Unlock()
	if d.forgotten() {
		return Ticket{}, fmt.Errorf("share %s: %w", d.id, ErrUnknown)
	}
	if err := d.replica.o.Store.Put(ctx, d.offerKey(secret), offer.encode()); err != nil {
		return Ticket{}, fmt.Errorf("keep ticket of %s: %w", d.id, err)
	}
	return d.ticket(&secret)
}

func (d *Doc) ticket(secret *[32]byte) (Ticket, error) {
	h := d.replica.o.Host
	if h == nil {
		return Ticket{}, fmt.Errorf("share %s: %w", d.id, ErrOffline)
	}
	return Ticket{Doc: d.id, Peer: peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}, Secret: secret}, nil
}

// offer is a ticket that may be redeemed here, under the hash of its secret.
type offer struct {
	role  commit.Role
	until time.Time
	by    *commit.Author // who has redeemed it, or nil
}

// encode makes bytes of an offer: role, until (Unix seconds, 8 bytes, big-endian), and the
// author (32) if there is one.
func (o offer) encode() []byte {
	b := binary.BigEndian.AppendUint64([]byte{byte(o.role)}, uint64(o.until.Unix()))
	if o.by != nil {
		b = append(b, o.by[:]...)
	}
	return b
}

func decodeOffer(b []byte) (o offer, err error) {
	if len(b) != 9 && len(b) != 9+len(o.by) {
		return o, fmt.Errorf("decode ticket: %w", ErrDamaged)
	}
	o.role, o.until = commit.Role(b[0]), time.Unix(int64(binary.BigEndian.Uint64(b[1:])), 0)
	if len(b) > 9 {
		o.by = (*commit.Author)(b[9:])
	}
	return o, nil
}

func (d *Doc) offerKey(secret [32]byte) ds.Key {
	hash := sha256.Sum256(secret[:])
	return key(ticketsPrefix, d.id.String(), hex.EncodeToString(hash[:]))
}

// redeem grants a peer what a ticket says. It is noted who has redeemed it before the role is
// granted: so a crash between does not lose the ticket, and nobody else can use it.
func (d *Doc) redeem(ctx context.Context, l *line, from peer.ID, secret [32]byte) error {
	ctx, cancel := context.WithDeadline(ctx, l.end)
	defer cancel()
	author, err := authorOf(from)
	if err != nil {
		d.replica.reply(l, wire.Refused)
		return nil
	}
	role, err := d.claim(ctx, author, secret)
	if errors.Is(err, ErrRedeemed) {
		d.replica.reply(l, wire.Refused)
		return nil
	}
	if err != nil {
		return err
	}
	has, err := d.Role(ctx, author)
	if err != nil {
		return err
	}
	if has < role {
		if _, err := d.Update(ctx, func(tx *crdt.Tx) error { tx.Grant(author, role); return nil }); err != nil {
			return err
		}
	}
	d.replica.reply(l, wire.OK)
	return nil
}

// claim notes that an author redeems a ticket, and tells for which role.
func (d *Doc) claim(ctx context.Context, author commit.Author, secret [32]byte) (commit.Role, error) {
	r := d.replica
	r.change.Lock() // across I/O: one after the other
	defer r.change.Unlock()
	if d.forgotten() {
		return commit.None, ErrRedeemed
	}
	b, err := r.o.Store.Get(ctx, d.offerKey(secret))
	if errors.Is(err, ds.ErrNotFound) {
		return commit.None, ErrRedeemed
	}
	if err != nil {
		return commit.None, fmt.Errorf("read ticket of %s: %w", d.id, err)
	}
	o, err := decodeOffer(b)
	if err != nil {
		return commit.None, err
	}
	if o.by != nil && *o.by != author || time.Now().After(o.until) {
		return commit.None, ErrRedeemed
	}
	o.by = &author
	if err := r.o.Store.Put(ctx, d.offerKey(secret), o.encode()); err != nil {
		return commit.None, fmt.Errorf("keep ticket of %s: %w", d.id, err)
	}
	return o.role, nil
}

// Join takes part in the document of a ticket, under a name, or "": it connects to the peer
// that made it, redeems it, and waits for the document's beginning. Whoever has the document
// already only redeems the ticket.
func (r *Replica) Join(ctx context.Context, t Ticket, name string) (*Doc, error) {
	if r.o.Host == nil {
		return nil, fmt.Errorf("join document %s: %w", t.Doc, ErrOffline)
	}
	r.mu.Lock()
	d := r.docs[t.Doc]
	r.mu.Unlock()
	if d == nil {
		var err error
		if d, err = r.keep(ctx, t.Doc, name, nil, nil); err != nil {
			return nil, err
		}
	}
	if err := r.o.Host.Connect(ctx, t.Peer); err != nil {
		return d, fmt.Errorf("join document %s: %w", t.Doc, err)
	}
	if t.Secret != nil {
		l, status, err := d.ask(ctx, t.Peer.ID, wire.Request{Kind: wire.Redeem, Secret: *t.Secret})
		if err != nil {
			return d, fmt.Errorf("redeem ticket for %s: %w", t.Doc, err)
		}
		l.drop()
		switch status {
		case wire.OK:
		case wire.Refused:
			return d, fmt.Errorf("redeem ticket for %s: %w", t.Doc, ErrRedeemed)
		default:
			return d, fmt.Errorf("redeem ticket for %s: %w", t.Doc, &StatusError{t.Peer.ID, status})
		}
	}
	if _, err := d.pull(ctx, t.Peer.ID); err != nil {
		return d, err
	}
	return d, d.wait(ctx)
}
