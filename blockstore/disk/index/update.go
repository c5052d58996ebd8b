package index

import (
	"errors"
	"fmt"
	"maps"

	"github.com/dgraph-io/badger/v4"
)

// Change puts, moves or deletes one entry.
type Change struct {
	Multihash string
	From      *Location // must be there, else the change does nothing; nil: any, or none for a put
	To        *Location // nil: delete
}

// Update makes changes in order, durably, in transactions of ChangesMax.
// The mark (if any) moves with the last of them. It returns how many changes
// did something. Only one goroutine may call it at a time.
//
// After an error nobody knows what is on disk: the caller must not write on.
func (x *Index) Update(changes []Change, mark *Position) (done int, err error) {
	for {
		batch := changes[:min(len(changes), ChangesMax)]
		changes = changes[len(batch):]
		last := len(changes) == 0
		var m *Position
		if last {
			m = mark
		}
		n, err := x.transact(batch, m)
		done += n
		if err != nil || last {
			return done, err
		}
	}
}

// transact is Update for one transaction.
func (x *Index) transact(batch []Change, mark *Position) (done int, err error) {
	txn := x.db.NewTransaction(true)
	defer txn.Discard()
	x.mu.Lock()
	d := delta{state: x.state, before: x.accounts, accounts: make(map[uint32]Account)}
	x.mu.Unlock()
	// before is only written by this goroutine, below: reading it is safe.
	for _, c := range batch {
		did, err := d.apply(txn, c)
		if err != nil {
			return 0, fmt.Errorf("update index: %w", err)
		}
		if did {
			done++
		}
	}
	if mark != nil {
		d.state.Mark = *mark
	}
	if done == 0 && mark == nil {
		return 0, nil
	}
	if err := d.commit(txn); err != nil {
		return 0, fmt.Errorf("update index: %w", err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.state = d.state
	maps.Copy(x.accounts, d.accounts)
	return done, nil
}

// Forget removes the account of a segment that is gone.
func (x *Index) Forget(segment uint32) error {
	err := x.db.Update(func(txn *badger.Txn) error { return txn.Delete(accountKey(segment)) })
	if err != nil {
		return fmt.Errorf("update index: %w", err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.accounts, segment)
	return nil
}

// delta is a transaction's effect on state and accounts.
type delta struct {
	state    State
	before   map[uint32]Account
	accounts map[uint32]Account // those that change
}

func (d *delta) apply(txn *badger.Txn, c Change) (bool, error) {
	key := blockKey(c.Multihash)
	old, oldSum, err := readLocation(txn, key)
	held := err == nil
	if err != nil && !errors.Is(err, badger.ErrKeyNotFound) {
		return false, err
	}
	switch {
	case c.From != nil && (!held || old != *c.From):
		return false, nil // it was deleted or has moved meanwhile
	case c.From == nil && c.To != nil && held:
		return false, nil // it was put meanwhile
	case c.To == nil && !held:
		return false, nil
	}
	if held {
		d.count(old, oldSum, -1)
	}
	if c.To == nil {
		return true, txn.Delete(key)
	}
	value, sum := appendLocation(key, *c.To)
	d.count(*c.To, sum, +1)
	return true, txn.Set(key, value)
}

func (d *delta) count(l Location, sum uint32, sign int64) {
	d.state.Blocks += sign
	d.state.Bytes += sign * int64(l.Size)
	d.state.sum ^= sum
	a, ok := d.accounts[l.Segment]
	if !ok {
		a = d.before[l.Segment]
	}
	a.Blocks += sign
	a.Bytes += sign * l.SectionSize()
	d.accounts[l.Segment] = a
}

func (d *delta) commit(txn *badger.Txn) error {
	for n, a := range d.accounts {
		key := accountKey(n)
		if err := txn.Set(key, appendAccount(key, a)); err != nil {
			return err
		}
	}
	if err := txn.Set([]byte(stateKey), d.state.Encode()); err != nil {
		return err
	}
	return txn.Commit()
}
