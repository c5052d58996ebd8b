package control

import (
	"context"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/p2pnode/p2pnode/node"
)

// Ref is content to be read, and how long that may take.
type Ref struct {
	Ref     string        // CID, /ipfs/CID/path or ipfs://CID/path
	Timeout time.Duration // 0: until it is found, or known not to be
}

func (r Ref) query() url.Values {
	q := url.Values{"ref": {r.Ref}}
	if r.Timeout > 0 {
		q.Set("timeout", r.Timeout.String())
	}
	return q
}

// ID tells who the node is.
func (c *Client) ID(ctx context.Context) (Identity, error) { return get[Identity](ctx, c, "id", nil) }

// Status tells what runs.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return get[Status](ctx, c, "status", nil)
}

// Stop asks the daemon to end. It has not ended yet when Stop returns.
func (c *Client) Stop(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "stop", nil, nil, nil)
}

// List yields the entries of a directory.
func (c *Client) List(ctx context.Context, r Ref) iter.Seq2[Item, error] {
	return items[Item](ctx, c, "ls", r.query())
}

// Pin fetches everything below r and keeps it.
func (c *Client) Pin(ctx context.Context, r Ref, name string, progress func(Progress)) (Pin, error) {
	return c.pin(ctx, "add", r, "name", name, progress)
}

func (c *Client) pin(ctx context.Context, verb string, r Ref, key, value string, progress func(Progress)) (Pin, error) {
	q := r.query()
	q.Set(key, value)
	var p Pin
	err := c.call(ctx, http.MethodPost, "pin/"+verb, q, on(kindProgress, progress), &p)
	return p, err
}

// UpdatePin is Pin in the place of a pin that there is, with its name.
func (c *Client) UpdatePin(ctx context.Context, old string, r Ref, progress func(Progress)) (Pin, error) {
	return c.pin(ctx, "update", r, "old", old, progress)
}

// Unpin lets go of a pinned root.
func (c *Client) Unpin(ctx context.Context, ref string) (Pin, error) {
	return post[Pin](ctx, c, "pin/rm", url.Values{"ref": {ref}})
}

// Pins yields all pins.
func (c *Client) Pins(ctx context.Context) iter.Seq2[Pin, error] {
	return items[Pin](ctx, c, "pin/ls", nil)
}

// GC removes what nothing needs, or with dry counts it.
func (c *Client) GC(ctx context.Context, dry bool) (node.GCResult, error) {
	return post[node.GCResult](ctx, c, "gc", url.Values{"dry-run": {strconv.FormatBool(dry)}})
}

// Verify reads every block.
func (c *Client) Verify(ctx context.Context, problem func(node.VerifyProblem)) (node.VerifyResult, error) {
	var r node.VerifyResult
	err := c.call(ctx, http.MethodPost, "verify", nil, on(kindItem, problem), &r)
	return r, err
}

// Stat returns the counters of every part of the node.
func (c *Client) Stat(ctx context.Context) (node.Stats, error) {
	return get[node.Stats](ctx, c, "stat", nil)
}

// Limits tells how fast blocks are exchanged at most.
func (c *Client) Limits(ctx context.Context) (node.Limits, error) {
	return get[node.Limits](ctx, c, "limits", nil)
}

// SetLimits changes that at once, and returns what holds then.
func (c *Client) SetLimits(ctx context.Context, l node.Limits) (node.Limits, error) {
	return post[node.Limits](ctx, c, "limits", url.Values{
		"up":   {strconv.FormatInt(l.UpBytesPerSec, 10)},
		"down": {strconv.FormatInt(l.DownBytesPerSec, 10)},
	})
}

// Peers returns the connected peers.
func (c *Client) Peers(ctx context.Context) (Peers, error) { return get[Peers](ctx, c, "peers", nil) }

// Connect connects to the peer at addr, a multiaddr with /p2p/ID.
func (c *Client) Connect(ctx context.Context, addr string) error {
	return c.call(ctx, http.MethodPost, "peers/connect", url.Values{"addr": {addr}}, nil, nil)
}

// Find yields peers that say they have the content, as they are found.
func (c *Client) Find(ctx context.Context, r Ref) iter.Seq2[Provider, error] {
	return items[Provider](ctx, c, "find", r.query())
}

// Provide tells the network that the node has the content.
func (c *Client) Provide(ctx context.Context, ref string) error {
	return c.call(ctx, http.MethodPost, "provide", url.Values{"ref": {ref}}, nil, nil)
}

// Offer tells a connected peer, by its ID, of content that it may fetch.
func (c *Client) Offer(ctx context.Context, ref, peer string) error {
	return c.call(ctx, http.MethodPost, "offer", url.Values{"ref": {ref}, "peer": {peer}}, nil, nil)
}

// Offers yields what peers have offered, oldest first, and with follow what they offer until ctx
// ends.
func (c *Client) Offers(ctx context.Context, follow bool) iter.Seq2[Offer, error] {
	return items[Offer](ctx, c, "offers", url.Values{"follow": {strconv.FormatBool(follow)}})
}

// Watch hands over the progress of the fetch that was given id, until it is over
// or ctx ends.
func (c *Client) Watch(ctx context.Context, id string, progress func(Progress)) error {
	return c.call(ctx, http.MethodGet, "progress", url.Values{"id": {id}}, on(kindProgress, progress), nil)
}

// ImportCAR stores the blocks of an archive and pins its roots.
func (c *Client) ImportCAR(ctx context.Context, archive io.Reader) (Roots, error) {
	var r Roots
	err := c.upload(ctx, "car/import", nil, readerBody(archive), "application/vnd.ipld.car", nil, &r)
	return r, err
}
