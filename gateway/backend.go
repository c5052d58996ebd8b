package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/ipfs/boxo/blockservice"
	"github.com/ipfs/boxo/files"
	"github.com/ipfs/boxo/gateway"
	"github.com/ipfs/boxo/path"
	"github.com/ipfs/boxo/path/resolver"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/ipld/go-ipld-prime/datamodel"
	"github.com/ipld/go-ipld-prime/schema"

	"github.com/p2pnode/p2pnode/block"
)

// backend is boxo's, with limits on what it reads and with errors that say
// whose fault they are.
type backend struct {
	*gateway.BlocksBackend
	store store
	cache *gateway.BlocksBackend // has no network
}

var _ gateway.IPFSBackend = (*backend)(nil)

func newBackend(source func(ctx context.Context) block.Getter, local block.Getter, o Options) (*backend, error) {
	values := records{names: o.Names}
	names, err := newNames(values, o.DNS)
	if err != nil {
		return nil, err
	}
	options := []gateway.BackendOption{
		gateway.WithNameSystem(names),
		gateway.WithValueStore(values),
		gateway.WithMaxTraversalDepth(traversalDepthMax),
	}
	s := store{local: local}
	online, err := gateway.NewBlocksBackend(blockservice.New(s, network{source: source}), options...)
	if err != nil {
		return nil, err
	}
	cache, err := gateway.NewBlocksBackend(blockservice.New(s, nil), options...)
	if err != nil {
		return nil, err
	}
	return &backend{BlocksBackend: online, store: s, cache: cache}, nil
}

// IsCached answers only-if-cached. What a mutable path leads to is not known
// without asking the network, so nothing under one counts as cached.
func (b *backend) IsCached(ctx context.Context, p path.Path) bool {
	return !p.Mutable() && b.cache.IsCached(ctx, p)
}

// Get resolves the path before it reads what the path leads to, so that only
// the latter counts against the limit of a listing.
func (b *backend) Get(ctx context.Context, p path.ImmutablePath, ranges ...gateway.ByteRange) (gateway.ContentPathMetadata, *gateway.GetResponse, error) {
	resolved, err := b.BlocksBackend.ResolvePath(ctx, p)
	if err != nil {
		return gateway.ContentPathMetadata{}, nil, blame(err)
	}
	if f := fetchOf(ctx); f != nil {
		f.limitListing()
	}
	if len(resolved.LastSegmentRemainder) > 0 { // inside a block, which only the whole path names
		md, r, err := b.BlocksBackend.Get(ctx, p, ranges...)
		return md, r, blame(err)
	}
	md, r, err := b.BlocksBackend.Get(ctx, resolved.LastSegment, ranges...)
	if err != nil && len(ranges) == 1 && ranges[0].From < 0 {
		// The last n bytes of a shorter file are the whole file (RFC 9110,
		// 14.1.2), which boxo takes for an error of its own.
		md, r, err = b.BlocksBackend.Get(ctx, resolved.LastSegment, gateway.ByteRange{})
	}
	md.PathSegmentRoots = resolved.PathSegmentRoots
	return md, r, blame(err)
}

func (b *backend) GetAll(ctx context.Context, p path.ImmutablePath) (gateway.ContentPathMetadata, files.Node, error) {
	if f := fetchOf(ctx); f != nil {
		f.limitStream(false)
	}
	md, n, err := b.BlocksBackend.GetAll(ctx, p)
	if err != nil {
		return md, nil, blame(err)
	}
	return md, whole(n), nil
}

func (b *backend) GetBlock(ctx context.Context, p path.ImmutablePath) (gateway.ContentPathMetadata, files.File, error) {
	md, f, err := b.BlocksBackend.GetBlock(ctx, p)
	return md, f, blame(err)
}

func (b *backend) Head(ctx context.Context, p path.ImmutablePath) (gateway.ContentPathMetadata, *gateway.HeadResponse, error) {
	md, r, err := b.BlocksBackend.Head(ctx, p)
	return md, r, blame(err)
}

func (b *backend) ResolvePath(ctx context.Context, p path.ImmutablePath) (gateway.ContentPathMetadata, error) {
	md, err := b.BlocksBackend.ResolvePath(ctx, p)
	return md, blame(err)
}

// GetCAR makes sure of the block that the path leads to, while its absence can
// still be told by the status.
func (b *backend) GetCAR(ctx context.Context, p path.ImmutablePath, params gateway.CarParams) (gateway.ContentPathMetadata, io.ReadCloser, error) {
	if _, _, err := b.BlocksBackend.GetBlock(ctx, p); err != nil && !missing(err) {
		return gateway.ContentPathMetadata{}, nil, blame(err)
	}
	if f := fetchOf(ctx); f != nil {
		f.limitStream(true)
	}
	md, r, err := b.BlocksBackend.GetCAR(ctx, p, params)
	return md, r, blame(err)
}

func (b *backend) ResolveMutable(ctx context.Context, p path.Path) (path.ImmutablePath, time.Duration, time.Time, error) {
	ip, ttl, modified, err := b.BlocksBackend.ResolveMutable(ctx, p)
	return ip, ttl, modified, blameName(ctx, err)
}

func (b *backend) GetIPNSRecord(ctx context.Context, c cid.Cid) ([]byte, error) {
	record, err := b.BlocksBackend.GetIPNSRecord(ctx, c)
	return record, blameName(ctx, err)
}

// blame gives errors that boxo would answer with 500 the status that is due:
// the content is at fault, not this server. A block that could not be had
// becomes a 504 in response.
func blame(err error) error {
	var status *gateway.ErrorStatusCode
	switch {
	case err == nil || errors.As(err, &status) || missing(err) || errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return gateway.NewErrorStatusCode(err, http.StatusBadGateway)
}

// blameName is blame for names, which do not come through the block store.
func blameName(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errStalled) {
		err = fmt.Errorf("resolve name: %w", errStalled)
		return gateway.NewErrorStatusCode(err, http.StatusGatewayTimeout)
	}
	return blame(err)
}

// missing tells whether the path, not the content, is at fault: boxo answers
// 404 to these, or looks for _redirects.
func missing(err error) bool {
	var kind datamodel.ErrWrongKind
	var exists datamodel.ErrNotExists
	return errors.Is(err, &resolver.ErrNoLink{}) || errors.Is(err, schema.ErrNoSuchField{}) ||
		ipld.IsNotFound(err) || errors.As(err, &kind) || errors.As(err, &exists) ||
		errors.Is(err, &cid.ErrInvalidCid{})
}
