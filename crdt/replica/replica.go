// Package replica keeps the documents of a node: on disk, and the same as everybody else's.
//
// A Doc is a crdt.Doc with a log of its commits, which many may edit and read at once. What
// Update has acknowledged is on disk. While Run runs, heads are gossiped as they change, one
// topic for each document, and what is missing is pulled from peers over streams: when an
// announcement names what is not here, when a peer comes, and now and then from anybody, so
// that whatever was lost is there in the end.
//
// It is no data type (package crdt) and no format (package wire). Who may write is said in the
// document itself; who knows a document's ID may read it.
//
// Invariant: what others are told of is on disk; so nobody has seen a commit of this node that
// a crash can undo, and the node never makes another one in its place.
package replica

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	ds "github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/wire"
)

// Limits.
const (
	// DocsMax is how many documents a replica keeps: each is a topic, of which a peer may be
	// in a bounded number.
	DocsMax = 200
	// NameSizeMax is the longest name of a document in bytes.
	NameSizeMax = 255
	// memoryDefault is how much memory documents take, about, in bytes.
	memoryDefault = 256 << 20
)

// Errors that callers decide on.
var (
	// ErrUnknown means that there is no such document here.
	ErrUnknown = errors.New("document is unknown")
	// ErrName means a name that is taken, or cannot be one.
	ErrName = errors.New("not a name for a document")
	// ErrFull means that there are too many documents.
	ErrFull = errors.New("too many documents")
	// ErrClosed is the error of everything once the replica is closed.
	ErrClosed = errors.New("documents are closed")
	// ErrOffline is the error of what needs the network where there is none.
	ErrOffline = errors.New("documents are offline")
	// ErrEmpty means that nothing has come yet of a document that others have.
	ErrEmpty = errors.New("nothing of the document is here yet")
)

// Fault is a way for a peer to misbehave.
type Fault string

// The faults that a Judge hears of.
const (
	FaultMalformed  = Fault("malformed message about a document")
	FaultForged     = Fault("forged head of a document")
	FaultInvalid    = Fault("invalid commit of a document")
	FaultIncomplete = Fault("heads of a document without what they follow")
	FaultForked     = Fault("two histories of a document by one author")
)

// Weight is how much a fault takes from what a peer has earned, of 100 that it can have. What no
// honest program sends weighs much. Two histories weigh little: whoever restores an old backup has
// made them in good faith, and they do no harm.
func (f Fault) Weight() float64 {
	switch f {
	case FaultMalformed, FaultForged, FaultInvalid:
		return 20
	case FaultIncomplete:
		return 10
	case FaultForked:
		return 2
	}
	return 0
}

// Judge hears how peers behave: those that sent something, or passed it on; of FaultForked those
// whose key it is. Report returns at once.
type Judge interface {
	Report(peer.ID, Fault)
}

// Options says how to open a Replica.
type Options struct {
	// Store keeps the documents. Its batches are atomic, and on disk when committed.
	Store ds.Batching
	// Key is that of the author who edits here.
	Key ed25519.PrivateKey
	// Host is how to reach others; nil for nobody.
	Host host.Host
	// Topics spreads announcements; nil for nobody to hear them.
	Topics Broadcaster
	// Judge hears of misbehaviour. Default: nobody.
	Judge Judge
	// Window is for how long edits wait for others, to become one commit with them. Each
	// Update takes so much longer. Zero: only for as long as the disk is busy with those
	// before.
	Window time.Duration
	// Interval is about how often a document is compared with a peer's. Default 30 s.
	Interval time.Duration
	// MemorySizeMax is how many bytes documents take in memory, about, before those that were
	// not used for the longest time are put away. Default 256 MiB.
	MemorySizeMax int64
	// Logger gets what an operator may want to know. Default: discarded.
	Logger *slog.Logger
}

// Replica is the documents of a node. Its methods are safe for concurrent use.
type Replica struct {
	o        Options
	author   commit.Author
	store    store
	log      *slog.Logger
	clock    atomic.Uint64 // counts uses, to know the oldest
	size     atomic.Int64  // bytes of all documents in memory, about
	counts   counts
	pulls    chan struct{} // slots
	serves   chan struct{}
	surveys  chan struct{}
	relaxing atomic.Bool
	change   sync.Mutex // held while the list of documents is written to disk

	mu      sync.Mutex // guards the following
	docs    map[commit.ID]*Doc
	topics  map[[32]byte]*Doc
	names   map[string]*Doc
	leaving map[commit.ID]struct{} // forgotten documents of which something is left
	served  map[peer.ID]int        // requests of each peer that are being answered
	closed  chan struct{}
	tasks   sync.WaitGroup              // what must end before the store is closed
	start   func(func(context.Context)) // starts what must end with Run; nil unless it runs
	answer  func(func(context.Context)) // starts what may end a little later; nil before, and after
}

// Open opens the documents that are in the store. It must be closed.
func Open(ctx context.Context, o Options) (*Replica, error) {
	if o.MemorySizeMax == 0 {
		o.MemorySizeMax = memoryDefault
	}
	if o.Interval == 0 {
		o.Interval = intervalDefault
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Judge == nil {
		o.Judge = lenient{}
	}
	r := &Replica{
		o:       o,
		author:  commit.AuthorOf(o.Key),
		store:   store{o.Store},
		log:     o.Logger,
		pulls:   make(chan struct{}, pullsMax),
		serves:  make(chan struct{}, servesMax),
		surveys: make(chan struct{}, surveysMax),
		docs:    make(map[commit.ID]*Doc),
		topics:  make(map[[32]byte]*Doc),
		names:   make(map[string]*Doc),
		leaving: make(map[commit.ID]struct{}),
		served:  make(map[peer.ID]int),
		closed:  make(chan struct{}),
	}
	names, err := r.store.names(ctx)
	if err != nil {
		return nil, fmt.Errorf("open documents: %w", err)
	}
	for id, name := range names {
		r.add(id, name)
	}
	if err := errors.Join(r.resume(ctx), r.resumeCuts(ctx)); err != nil {
		return nil, fmt.Errorf("open documents: %w", err)
	}
	return r, nil
}

// lenient is the Judge of those who have none.
type lenient struct{}

func (lenient) Report(peer.ID, Fault) {}

// add makes a document known. mu is held, or nobody else is there.
func (r *Replica) add(id commit.ID, name string) *Doc {
	d := newDoc(r, id, name)
	r.docs[id] = d
	r.topics[wire.Topic(id)] = d
	if name != "" {
		r.names[name] = d
	}
	r.begin(d)
	return d
}

// Close waits for edits that are being written, and ends everything. Run must have ended.
func (r *Replica) Close() error {
	r.mu.Lock()
	select {
	case <-r.closed:
	default:
		close(r.closed)
	}
	r.mu.Unlock()
	r.tasks.Wait()
	for _, d := range r.Docs() {
		d.turn <- struct{}{} // whoever reads gives it back soon
		d.rest(context.Background())
		d.turn.release()
	}
	return nil
}

// spawn starts what Close waits for. It does nothing once Close was called.
func (r *Replica) spawn(f func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.closed:
		return false
	default:
		r.tasks.Go(f)
		return true
	}
}

// Author is who edits here.
func (r *Replica) Author() commit.Author { return r.author }

// Member is somebody with a role in a document.
type Member struct {
	Author commit.Author
	Role   commit.Role
}

// Create makes a document, which is known here by a name; "" for none. Members have roles in
// it from the start, and the author who edits here manages it.
func (r *Replica) Create(ctx context.Context, name string, members ...Member) (*Doc, error) {
	b, head, err := crdt.Create(r.o.Key, genesis(members))
	if err != nil {
		return nil, err
	}
	return r.keep(ctx, head.ID, name, []block.Block{b}, []crdt.Head{head})
}

// genesis is how a document begins now.
func genesis(members []Member) crdt.Genesis {
	g := crdt.Genesis{Wall: uint64(time.Now().UnixMilli()), Members: make(map[commit.Author]commit.Role)}
	rand.Read(g.Nonce[:]) // it never fails
	for _, m := range members {
		g.Members[m.Author] = m.Role
	}
	return g
}

// keep notes a document on disk, then in memory.
func (r *Replica) keep(ctx context.Context, id commit.ID, name string, blocks []block.Block, heads []crdt.Head) (*Doc, error) {
	r.change.Lock() // across I/O: names are taken one after the other
	defer r.change.Unlock()
	if err := r.mayKeep(id, name); err != nil {
		return nil, fmt.Errorf("keep document %q: %w", name, err)
	}
	if err := r.store.begin(ctx, id, name, blocks, heads); err != nil {
		return nil, fmt.Errorf("keep document %q: %w", name, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.add(id, name), nil
}

func (r *Replica) mayKeep(id commit.ID, name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.closed:
		return ErrClosed
	default:
	}
	if _, err := ParseID(name); err == nil || len(name) > NameSizeMax || strings.ContainsAny(name, "/\n\x00") || r.names[name] != nil {
		return ErrName
	}
	if r.docs[id] != nil {
		return fmt.Errorf("it is here as %q: %w", r.docs[id].name, ErrName)
	}
	if _, ok := r.leaving[id]; ok {
		return fmt.Errorf("it is being forgotten: %w", ErrName)
	}
	if len(r.docs) == DocsMax {
		return fmt.Errorf("%d: %w", DocsMax, ErrFull)
	}
	return nil
}

// ParseID reads the ID of a document, or of a commit: a CID.
func ParseID(text string) (commit.ID, error) {
	c, err := cid.Decode(text)
	if err != nil {
		return commit.ID{}, fmt.Errorf("read document ID %q: %w", text, err)
	}
	id, ok := commit.IDOf(c)
	if !ok {
		return commit.ID{}, fmt.Errorf("read document ID %q: not that of a commit: %w", text, ErrUnknown)
	}
	return id, nil
}

// Open finds a document by its name or ID. One of which only the ID is known is kept from now
// on, and looked for among the peers in its topic; Open returns when its beginning is here.
func (r *Replica) Open(ctx context.Context, nameOrID string) (*Doc, error) {
	d, id, err := r.find(nameOrID)
	if err != nil {
		return nil, err
	}
	if d == nil {
		if d, err = r.keep(ctx, id, "", nil, nil); err != nil {
			return nil, err
		}
	}
	return d, d.wait(ctx)
}

// find finds what is here, or else tells of which ID it would be.
func (r *Replica) find(nameOrID string) (*Doc, commit.ID, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := r.names[nameOrID]; d != nil {
		return d, d.id, nil
	}
	id, err := ParseID(nameOrID)
	if err != nil {
		return nil, id, fmt.Errorf("open document %q: %w", nameOrID, ErrUnknown)
	}
	return r.docs[id], id, nil
}

// Docs are the documents that are known, by name and ID.
func (r *Replica) Docs() []*Doc {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []*Doc
	for _, d := range r.docs {
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b *Doc) int { return cmp.Or(cmp.Compare(a.name, b.name), a.id.Compare(b.id)) })
	return list
}

// Block finds a commit of any document: commits are blocks like all others.
func (r *Replica) Block(ctx context.Context, c cid.Cid) (block.Block, error) {
	id, ok := commit.IDOf(c)
	if !ok {
		return block.Block{}, &block.NotFoundError{Cid: c}
	}
	return r.store.block(ctx, id)
}

// relax puts documents away that were not used for the longest time, while all together take
// too much memory. The one that was used last stays.
func (r *Replica) relax() {
	defer r.relaxing.Store(false)
	docs := r.Docs()
	slices.SortFunc(docs, func(a, b *Doc) int { return cmp.Compare(a.used.Load(), b.used.Load()) })
	for _, d := range docs[:max(len(docs)-1, 0)] {
		if r.size.Load() <= r.o.MemorySizeMax {
			return
		}
		d.putAway()
	}
}
