package replica

import (
	"context"
	"fmt"
	"slices"

	"github.com/p2pnode/p2pnode/crdt/commit"
)

// Has tells whether all of these commits are here, so that View shows them.
func (d *Doc) Has(ctx context.Context, heads ...commit.ID) (bool, error) {
	s, err := d.lock(ctx)
	if err != nil {
		return false, err
	}
	defer d.mu.Unlock()
	return !slices.ContainsFunc(heads, func(id commit.ID) bool { return !s.core.Has(id) }), nil
}

// Wait waits until all of these commits are here. So who is told of an edit by its author, with the
// commit that Update has returned or the author's Heads, can read it here. It asks nobody for them:
// what is announced, or compared, brings them.
func (d *Doc) Wait(ctx context.Context, heads ...commit.ID) error {
	for {
		d.mu.Lock()
		changed := d.changed
		d.mu.Unlock()
		if has, err := d.Has(ctx, heads...); err != nil || has {
			return err
		}
		select {
		case <-changed:
		case <-d.gone:
			return fmt.Errorf("wait for commits of %s: %w", d.id, ErrUnknown)
		case <-d.replica.closed:
			return fmt.Errorf("wait for commits of %s: %w", d.id, ErrClosed)
		case <-ctx.Done():
			return fmt.Errorf("wait for commits of %s: %w", d.id, ctx.Err())
		}
	}
}
