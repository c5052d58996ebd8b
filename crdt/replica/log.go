package replica

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

// Log yields the commits on disk, parents before children, in the order in which they came
// here.
func (d *Doc) Log(ctx context.Context) iter.Seq2[*commit.Commit, error] {
	return func(yield func(*commit.Commit, error) bool) {
		s, err := d.lock(ctx)
		if err == nil {
			t := s.tip
			d.mu.Unlock()
			err = d.replica.store.log(ctx, d.id, t.first, t.count, func(b block.Block) error {
				c, id, err := commit.Decode(b)
				if err != nil {
					return err
				}
				has, err := d.Has(ctx, id) // or a horizon has left it outside
				if err == nil && has && !yield(c, nil) {
					err = errEnough
				}
				return err
			})
		}
		if err != nil && !errors.Is(err, errEnough) {
			yield(nil, err)
		}
	}
}

// errEnough ends what nobody reads any more.
var errEnough = errors.New("enough")

// Members are those who have a role, by author.
func (d *Doc) Members(ctx context.Context) ([]Member, error) {
	s, err := d.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	var list []Member
	for a, role := range s.core.Members() {
		list = append(list, Member{a, role})
	}
	slices.SortFunc(list, func(a, b Member) int { return bytes.Compare(a.Author[:], b.Author[:]) })
	return list, nil
}
