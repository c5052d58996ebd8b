package control

import (
	"context"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/node"
)

// pin fetches everything below ref and keeps it.
func (s *server) pin(ctx context.Context, p *params, out *stream) (any, error) {
	ref, name := p.path(), p.text("name")
	if p.err != nil {
		return nil, p.err
	}
	root, err := s.node.Pin(ctx, ref, name, tellPin(out))
	if err != nil {
		return nil, err
	}
	return Pin{Cid: root.String(), Name: name}, nil
}

// updatePin does so in the place of a pin.
func (s *server) updatePin(ctx context.Context, p *params, out *stream) (any, error) {
	ref := p.path()
	old, err := cid.Decode(p.text("old"))
	if err != nil {
		p.fail("old", err)
	}
	if p.err != nil {
		return nil, p.err
	}
	root, err := s.node.UpdatePin(ctx, old, ref, tellPin(out))
	if err != nil {
		return nil, err
	}
	return Pin{Cid: root.String()}, nil
}

// tellPin sends progress.
func tellPin(out *stream) func(node.PinProgress) {
	return func(t node.PinProgress) {
		told := progressOf(t.Network)
		told.Bytes, told.Blocks = t.Bytes, t.Blocks
		_ = out.progress(told) // a client that is gone has cancelled ctx
	}
}

func (s *server) unpin(ctx context.Context, p *params, _ *stream) (any, error) {
	root := p.cid()
	if p.err != nil {
		return nil, p.err
	}
	if err := s.node.Unpin(ctx, root); err != nil {
		return nil, err
	}
	return Pin{Cid: root.String()}, nil
}

func (s *server) pins(ctx context.Context, _ *params, out *stream) (any, error) {
	for p, err := range s.node.Pins(ctx) {
		if err != nil {
			return nil, err
		}
		if err := out.item(Pin{Cid: p.Cid.String(), Name: p.Name, Created: p.Created}); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (s *server) gc(ctx context.Context, p *params, _ *stream) (any, error) {
	o := node.GCOptions{DryRun: p.flag("dry-run")}
	if p.err != nil {
		return nil, p.err
	}
	return result(s.node.GC(ctx, o))
}

// result keeps a half-filled answer from travelling with an error.
func result[T any](v T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}
