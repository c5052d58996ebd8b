package exchange

import (
	"context"
	"fmt"
)

// Flush returns when every block that was handed out is in the store, or could
// not be put there. Reading from peers pauses meanwhile.
func (x *Exchange) Flush(ctx context.Context) error {
	if err := x.unsaved.Acquire(ctx, x.o.UnsavedSizeMax); err != nil {
		return fmt.Errorf("flush exchange: %w", err)
	}
	x.unsaved.Release(x.o.UnsavedSizeMax)
	return nil
}

// Flush returns nil when every block that the session handed out is in the
// store. A failure of the store while the session lived counts against it,
// whichever session the block was for.
func (s *Session) Flush(ctx context.Context) error {
	if err := s.x.Flush(ctx); err != nil {
		return err
	}
	if err := s.unstored.Load(); err != nil {
		return fmt.Errorf("store fetched blocks: %w", *err)
	}
	return nil
}

// blame tells every session that blocks could not be stored.
func (x *Exchange) blame(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, s := range x.sessions {
		s.unstored.CompareAndSwap(nil, &err)
	}
}
