package replica

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/wire"
)

// Doc is a document that is kept here. Its methods are safe for concurrent use.
type Doc struct {
	replica *Replica
	id      commit.ID
	name    string
	used    atomic.Uint64 // when, by the replica's clock
	size    atomic.Int64  // about how many bytes it takes in memory
	turn    turn          // taken before mu by who changes or loads the document
	begun   chan struct{} // closed once its first commit is here
	news    chan struct{} // a token when there is something to announce
	calls   chan call     // whom to pull from
	gone    chan struct{} // closed when it is forgotten
	running sync.WaitGroup

	mu       sync.Mutex // guards the following
	state    *state     // nil when it is put away
	hasBegun bool
	fresh    []block.Block // own commits, to be announced; nil when they are too many
	watchers map[*watcher]struct{}
	changed  chan struct{} // closed when there are more commits
}

// turn is a lock that can be waited for until a context ends. It is held across I/O on purpose:
// a document's log has one writer at a time.
type turn chan struct{}

func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turn) release() { <-t }

// state is a document in memory.
type state struct {
	core  *crdt.Doc
	shelf *shelf
	tip   tip    // of the log on disk
	saved saved  // the snapshot on disk; of who has the turn
	group *group // edits that are not sealed, or nil
}

// group is the edits that become one commit.
type group struct {
	done chan struct{} // closed when they are on disk, or never will be
	id   commit.ID
	err  error
}

func newDoc(r *Replica, id commit.ID, name string) *Doc {
	return &Doc{
		replica:  r,
		id:       id,
		name:     name,
		turn:     make(turn, 1),
		begun:    make(chan struct{}),
		news:     make(chan struct{}, 1),
		calls:    make(chan call, callsMax),
		gone:     make(chan struct{}),
		changed:  make(chan struct{}),
		watchers: make(map[*watcher]struct{}),
	}
}

// ID names the document everywhere.
func (d *Doc) ID() commit.ID { return d.id }

// Name is what the document is called here, or "".
func (d *Doc) Name() string { return d.name }

// wait waits for the beginning of the document.
func (d *Doc) wait(ctx context.Context) error {
	if _, err := d.lock(ctx); err != nil {
		return err
	}
	d.mu.Unlock()
	select {
	case <-d.begun:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("open document %s: %w: %w", d.id, ErrEmpty, ctx.Err())
	case <-d.gone:
		return fmt.Errorf("open document %s: %w", d.id, ErrUnknown)
	case <-d.replica.closed:
		return ErrClosed
	}
}

// lock returns the state with mu held.
func (d *Doc) lock(ctx context.Context) (*state, error) {
	d.used.Store(d.replica.clock.Add(1))
	d.mu.Lock()
	if d.state != nil {
		return d.state, nil
	}
	d.mu.Unlock()
	if err := d.turn.take(ctx); err != nil {
		return nil, fmt.Errorf("load document %s: %w", d.id, err)
	}
	s, err := d.load(ctx)
	if err != nil {
		d.turn.release()
		return nil, err
	}
	d.mu.Lock()
	d.turn.release()
	return s, nil
}

// load returns the state, which is computed from the log if it was put away. The turn is the
// caller's.
func (d *Doc) load(ctx context.Context) (*state, error) {
	d.mu.Lock()
	s := d.state
	d.mu.Unlock()
	if s != nil {
		return s, nil
	}
	s, err := d.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("load document %s: %w", d.id, err)
	}
	d.mu.Lock()
	d.state = s
	d.note(s)
	d.mu.Unlock()
	return s, nil
}

// note tells how large the state is, and that it has begun. mu is held.
func (d *Doc) note(s *state) {
	d.weigh(stateSize + 2*int64(s.tip.size+s.tip.parts*batchSizeMax) + wire.BlockSize*int64(s.tip.len()) + int64(s.core.Waiting()))
	if s.tip.count > 0 && !d.hasBegun {
		d.hasBegun = true
		close(d.begun)
	}
}

// weigh notes how many bytes the document takes in memory.
func (d *Doc) weigh(size int64) {
	r := d.replica
	if r.size.Add(size-d.size.Swap(size)) > r.o.MemorySizeMax && r.relaxing.CompareAndSwap(false, true) {
		if !r.spawn(r.relax) {
			r.relaxing.Store(false)
		}
	}
}

// stateSize is about what an empty document takes in memory, in bytes.
const stateSize = 16 << 10

// open computes the state from what is on disk: from the snapshot and the tail of the log, or,
// if the snapshot is of no use, from all of the log.
func (d *Doc) open(ctx context.Context) (*state, error) {
	if d.forgotten() {
		return nil, ErrUnknown
	}
	t, err := d.replica.store.tip(ctx, d.id)
	if err != nil {
		return nil, err
	}
	if t.count > 0 {
		s, err := d.restore(ctx, t)
		if err == nil {
			return s, nil
		}
		if !errors.Is(err, errNoSnapshot) {
			d.replica.counts.ignored.Add(1)
			d.replica.log.Warn("snapshot of document is ignored", "doc", d.id, "err", err)
		}
	}
	return d.replay(ctx, t)
}

// replay computes the state from the log, which begins with a base if it was cut.
func (d *Doc) replay(ctx context.Context, t tip) (*state, error) {
	s := &state{shelf: newShelf(d.replica.store), tip: t}
	s.core = crdt.New(d.id, d.replica.author, s.shelf)
	if t.parts > 0 {
		base, err := d.replica.store.base(ctx, d.id, t)
		if err != nil {
			return nil, err
		}
		if s.core, err = crdt.Begin(d.id, base, d.replica.author, s.shelf); err != nil {
			return nil, errors.Join(ErrDamaged, err)
		}
	}
	s.tip.lost = 0
	if err := d.follow(ctx, s, t.first); err != nil {
		return nil, err
	}
	if t.parts > 0 && !s.core.Proven() {
		return nil, fmt.Errorf("base at commit %d is not proven: %w", t.first, ErrDamaged)
	}
	return s, nil
}

// shelf finds the blocks of a document for a crdt.Doc.
type shelf struct {
	store
	fresh map[commit.ID]block.Block // those that are not on disk yet
}

func newShelf(s store) *shelf { return &shelf{s, make(map[commit.ID]block.Block)} }

// keep notes commits that are not on disk.
func (s *shelf) keep(blocks ...block.Block) {
	for _, b := range blocks {
		if id, ok := commit.IDOf(b.Cid()); ok {
			s.fresh[id] = b
		}
	}
}

func (s *shelf) Block(id commit.ID) (block.Block, error) {
	if b, ok := s.fresh[id]; ok {
		return b, nil
	}
	return s.block(context.Background(), id)
}

// putAway forgets the state, if nobody uses it.
func (d *Doc) putAway() {
	select {
	case d.turn <- struct{}{}:
		defer d.turn.release()
	default:
		return
	}
	d.rest(context.Background()) // the store's own limits end it
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state == nil || d.state.group == nil {
		d.state = nil
		d.weigh(0)
	}
}

// View is the whole document as plain values: see crdt.Doc.View. It may show edits of which
// the Update has not returned yet.
func (d *Doc) View(ctx context.Context) (map[string]any, error) {
	s, err := d.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	return s.core.View(), nil
}

// Get is what View has under a path of keys. ok tells whether there is anything.
func (d *Doc) Get(ctx context.Context, path ...string) (v any, ok bool, err error) {
	s, err := d.lock(ctx)
	if err != nil {
		return nil, false, err
	}
	defer d.mu.Unlock()
	v, ok = s.core.Get(path...)
	return v, ok, nil
}

// Field finds a register: see crdt.Doc.Field.
func (d *Doc) Field(ctx context.Context, path ...string) (f crdt.Field, ok bool, err error) {
	s, err := d.lock(ctx)
	if err != nil {
		return f, false, err
	}
	defer d.mu.Unlock()
	f, ok = s.core.Field(path...)
	return f, ok, nil
}

// Fields are the registers in a map: see crdt.Doc.Fields. They are all of one moment.
func (d *Doc) Fields(ctx context.Context, path ...string) ([]crdt.Field, error) {
	s, err := d.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	return s.core.Fields(path...), nil
}

// Role is what an author may do, as far as is known here.
func (d *Doc) Role(ctx context.Context, a commit.Author) (commit.Role, error) {
	s, err := d.lock(ctx)
	if err != nil {
		return commit.None, err
	}
	defer d.mu.Unlock()
	return s.core.Role(a), nil
}

// Heads are the newest commits on disk, by ID.
func (d *Doc) Heads(ctx context.Context) ([]commit.ID, error) {
	s, err := d.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	return idsOf(s.tip.heads), nil
}

// Len is how many commits of the document are on disk.
func (d *Doc) Len(ctx context.Context) (int, error) {
	s, err := d.lock(ctx)
	if err != nil {
		return 0, err
	}
	defer d.mu.Unlock()
	return int(s.tip.len()), nil
}

func idsOf(heads []crdt.Head) []commit.ID {
	ids := make([]commit.ID, len(heads))
	for i, h := range heads {
		ids[i] = h.ID
	}
	return ids
}
