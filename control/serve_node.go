package control

import (
	"context"
	"net/http"
	"os"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/node"
)

func (s *server) id(context.Context, *params, *stream) (any, error) {
	return Identity{ID: s.node.ID().String(), Addrs: append([]string{}, s.node.Addrs()...)}, nil
}

func (s *server) status(context.Context, *params, *stream) (any, error) {
	st := s.options.Status
	st.ID, st.PID = s.node.ID().String(), os.Getpid()
	st.Addrs = append([]string{}, s.node.Addrs()...)
	st.Peers = len(s.node.Peers())
	st.UpNS = int64(time.Since(s.started))
	st.Limits, _ = s.node.Limits() // offline there are none
	return st, nil
}

func (s *server) limits(context.Context, *params, *stream) (any, error) {
	return result(s.node.Limits())
}

// setLimits changes both limits, of which a missing one is none.
func (s *server) setLimits(_ context.Context, p *params, _ *stream) (any, error) {
	l := node.Limits{UpBytesPerSec: p.size("up", 0), DownBytesPerSec: p.size("down", 0)}
	if p.err != nil {
		return nil, p.err
	}
	return result(l, s.node.SetLimits(l))
}

// stop answers, and then the process ends.
func (s *server) stop(context.Context, *params, *stream) (any, error) {
	if s.options.Stop == nil {
		return nil, &Error{Code: CodeUnreachable, Message: "no daemon is running"}
	}
	s.options.Stop()
	return nil, nil
}

func (s *server) stat(context.Context, *params, *stream) (any, error) { return s.node.Stats(), nil }

func (s *server) peers(context.Context, *params, *stream) (any, error) {
	return Peers{Peers: append([]node.PeerInfo{}, s.node.Peers()...)}, nil
}

func (s *server) connect(ctx context.Context, p *params, _ *stream) (any, error) {
	err := s.node.Connect(ctx, p.text("addr"))
	if err == nil || is(node.ErrAddress, node.ErrOffline)(err) {
		return nil, err
	}
	// However many ways of dialing there were, and whatever each failed with.
	return nil, &Error{Code: CodeGeneral, Message: err.Error(), Retryable: true, cause: err,
		Hint: "the peer may be off, behind a firewall, or in another network (its name, or its key)"}
}

// find sends providers as they are found.
func (s *server) find(ctx context.Context, p *params, out *stream) (any, error) {
	c := p.cid()
	if p.err != nil {
		return nil, p.err
	}
	for ai, err := range s.node.FindProviders(ctx, c) {
		if e := Explain(err); e != nil && e.Code == CodeGeneral {
			e.Retryable, e.Hint = true, "see p2pnode peers ls; p2pnode peers connect MULTIADDR joins a network"
			return nil, e
		}
		if err != nil {
			return nil, err
		}
		x := Provider{ID: ai.ID.String(), Addrs: []string{}}
		for _, a := range ai.Addrs {
			x.Addrs = append(x.Addrs, a.String())
		}
		if err := out.item(x); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (s *server) provide(ctx context.Context, p *params, _ *stream) (any, error) {
	c := p.cid()
	if p.err != nil {
		return nil, p.err
	}
	return nil, s.node.Provide(ctx, c)
}

func (s *server) offer(ctx context.Context, p *params, _ *stream) (any, error) {
	c := p.cid()
	to, err := peer.Decode(p.text("peer"))
	if err != nil {
		p.fail("peer", err)
	}
	if p.err != nil {
		return nil, p.err
	}
	return nil, s.node.Offer(ctx, to, c)
}

// offers sends what was offered, and what is if follow is set.
func (s *server) offers(ctx context.Context, p *params, out *stream) (any, error) {
	follow := p.flag("follow")
	if p.err != nil {
		return nil, p.err
	}
	for o := range s.node.Offers(ctx, follow) {
		if err := out.item(Offer{CID: o.Root.String(), Size: o.Size, Peer: o.From.String()}); err != nil {
			return nil, err
		}
	}
	return nil, ctx.Err()
}

// verify reads every block and sends what is wrong.
func (s *server) verify(ctx context.Context, _ *params, out *stream) (any, error) {
	return result(s.node.Verify(ctx, node.VerifyOptions{Problem: func(v node.VerifyProblem) {
		_ = out.item(v) // a client that is gone has cancelled ctx
	}}))
}

// carImport stores the blocks of an archive and pins its roots.
func (s *server) carImport(ctx context.Context, p *params, r *http.Request, _ *stream) (any, error) {
	if p.err != nil {
		return nil, p.err
	}
	roots, err := s.node.ImportCAR(ctx, r.Body)
	if err != nil {
		return nil, err
	}
	return rootsOf(roots), nil
}
