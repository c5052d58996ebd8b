package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/unixfs"
	"github.com/p2pnode/p2pnode/unixfs/build"
)

// params reads the query of a request. The first malformed parameter is kept
// in err, so that a route reads all of them and asks once.
type params struct {
	query url.Values
	err   error
}

func newParams(r *http.Request) *params { return &params{query: r.URL.Query()} }

func (p *params) fail(name string, err error) {
	if p.err != nil {
		return
	}
	var path *unixfs.PathError
	if errors.As(err, &path) {
		p.err = err
		return
	}
	p.err = &Error{Code: CodeUsage, Message: fmt.Sprintf("parameter %s: %v", name, err), cause: err}
}

func (p *params) text(name string) string { return p.query.Get(name) }

func (p *params) flag(name string) bool {
	text := p.query.Get(name)
	if text == "" {
		return false
	}
	v, err := strconv.ParseBool(text)
	if err != nil {
		p.fail(name, errors.New("not true or false"))
	}
	return v
}

// size reads a number of bytes; missing is what an absent parameter means.
func (p *params) size(name string, missing int64) int64 {
	text := p.query.Get(name)
	if text == "" {
		return missing
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v < 0 {
		p.fail(name, errors.New("not a number of bytes"))
	}
	return v
}

func (p *params) path() unixfs.Path {
	v, err := unixfs.ParsePath(p.query.Get("ref"))
	if err != nil {
		p.fail("ref", err)
	}
	return v
}

// cid reads a reference that must be a CID without a path.
func (p *params) cid() cid.Cid {
	v := p.path()
	if len(v.Segments) > 0 {
		p.fail("ref", errors.New("want a CID without a path"))
	}
	return v.Root
}

func (p *params) profile() build.Profile {
	name := p.query.Get("profile")
	if name == "" {
		return build.V1_2025
	}
	v, err := build.ProfileByName(name)
	if err != nil {
		p.fail("profile", err)
	}
	return v
}

// deadline ends the request's work after the parameter timeout. The server
// does it, not the client: only it can tell what it was waiting for.
func (p *params) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	text := p.query.Get("timeout")
	if text == "" {
		return ctx, func() {}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		p.fail("timeout", errors.New("not a duration"))
	}
	if d <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d)
}
