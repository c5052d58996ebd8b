package disk

import (
	"errors"
	"fmt"
	"maps"

	"github.com/dgraph-io/badger/v4"
)

// change is one entry of the index to be put, moved or deleted.
type change struct {
	mh   string
	from *location // must be there, else the change does nothing; nil: any, or none for a put
	to   *location // nil: delete
}

// update makes changes in order, durably, in transactions of indexChangesMax.
// The mark (if any) moves with the last of them. It returns how many changes
// did something. Only one goroutine may call it at a time.
//
// After an error nobody knows what is on disk: the caller must not write on.
func (x *index) update(changes []change, mark *position) (done int, err error) {
	for {
		batch := changes[:min(len(changes), indexChangesMax)]
		changes = changes[len(batch):]
		last := len(changes) == 0
		var m *position
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

// transact is update for one transaction.
func (x *index) transact(batch []change, mark *position) (done int, err error) {
	txn := x.db.NewTransaction(true)
	defer txn.Discard()
	x.mu.Lock()
	d := delta{state: x.state, before: x.accounts, accounts: make(map[uint32]account)}
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
		d.state.mark = *mark
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

// forget removes the account of a segment that is gone.
func (x *index) forget(segment uint32) error {
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
	state    state
	before   map[uint32]account
	accounts map[uint32]account // those that change
}

func (d *delta) apply(txn *badger.Txn, c change) (bool, error) {
	key := blockKey(c.mh)
	old, oldSum, err := readLocation(txn, key)
	held := err == nil
	if err != nil && !errors.Is(err, badger.ErrKeyNotFound) {
		return false, err
	}
	switch {
	case c.from != nil && (!held || old != *c.from):
		return false, nil // it was deleted or has moved meanwhile
	case c.from == nil && c.to != nil && held:
		return false, nil // it was put meanwhile
	case c.to == nil && !held:
		return false, nil
	}
	if held {
		d.count(old, oldSum, -1)
	}
	if c.to == nil {
		return true, txn.Delete(key)
	}
	value, sum := appendLocation(key, *c.to)
	d.count(*c.to, sum, +1)
	return true, txn.Set(key, value)
}

func (d *delta) count(l location, sum uint32, sign int64) {
	d.state.blocks += sign
	d.state.bytes += sign * int64(l.size)
	d.state.sum ^= sum
	a, ok := d.accounts[l.segment]
	if !ok {
		a = d.before[l.segment]
	}
	a.blocks += sign
	a.bytes += sign * l.sectionSize()
	d.accounts[l.segment] = a
}

func (d *delta) commit(txn *badger.Txn) error {
	for n, a := range d.accounts {
		key := accountKey(n)
		if err := txn.Set(key, appendAccount(key, a)); err != nil {
			return err
		}
	}
	if err := txn.Set([]byte(stateKey), appendState(d.state)); err != nil {
		return err
	}
	return txn.Commit()
}
