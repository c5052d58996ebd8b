package control

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Docs yields the documents that are kept.
func (c *Client) Docs(ctx context.Context) iter.Seq2[Doc, error] {
	return items[Doc](ctx, c, "doc/ls", nil)
}

// CreateDoc makes a document, under a name or "".
func (c *Client) CreateDoc(ctx context.Context, name string) (Doc, error) {
	return post[Doc](ctx, c, "doc/create", url.Values{"name": {name}})
}

// ForkDoc makes a document that begins with what another one holds, or held as of the version of these
// commits.
func (c *Client) ForkDoc(ctx context.Context, doc, name string, heads ...string) (Doc, error) {
	return post[Doc](ctx, c, "doc/fork", url.Values{"doc": {doc}, "name": {name}, "head": heads})
}

// OpenDoc takes part in a document that is given by a ticket or ID; of a ticket under a name,
// or "". It waits until the beginning of the document has come, for up to a time if that is
// not 0.
func (c *Client) OpenDoc(ctx context.Context, ref, name string, timeout time.Duration) (Doc, error) {
	q := url.Values{"doc": {ref}, "name": {name}}
	if timeout > 0 {
		q.Set("timeout", timeout.String())
	}
	return post[Doc](ctx, c, "doc/open", q)
}

// ForgetDoc removes a document from the node, given by its name or ID.
func (c *Client) ForgetDoc(ctx context.Context, doc string) error {
	return c.call(ctx, http.MethodPost, "doc/forget", url.Values{"doc": {doc}}, nil, nil)
}

// CompactDoc forgets what is before the horizon of a document, and agrees to the next one, or names it,
// where the node may.
func (c *Client) CompactDoc(ctx context.Context, doc string) (Compaction, error) {
	return post[Compaction](ctx, c, "doc/compact", url.Values{"doc": {doc}})
}

// DocPath is a place in a document: its name or ID, and keys as Pointer makes them.
type DocPath struct{ Doc, Path string }

func (d DocPath) query() url.Values { return url.Values{"doc": {d.Doc}, "path": {d.Path}} }

// GetDoc tells what is somewhere, as JSON.
func (c *Client) GetDoc(ctx context.Context, at DocPath) (json.RawMessage, error) {
	v, err := get[struct{ Value json.RawMessage }](ctx, c, "doc/get", at.query())
	return v.Value, err
}

// DocAt tells what was somewhere as of the version of these commits, as JSON.
func (c *Client) DocAt(ctx context.Context, at DocPath, heads ...string) (json.RawMessage, error) {
	q := at.query()
	q["head"] = heads
	v, err := get[struct{ Value json.RawMessage }](ctx, c, "doc/at", q)
	return v.Value, err
}

// ExportDoc returns a document with all its history as CARv1.
func (c *Client) ExportDoc(ctx context.Context, doc string) (*Data, error) {
	return c.data(ctx, "doc/export", url.Values{"doc": {doc}})
}

// ImportDoc keeps a document that was exported, under a name or "". If it is here already, what
// is lacking is added to it.
func (c *Client) ImportDoc(ctx context.Context, archive io.Reader, name string) (Doc, error) {
	var d Doc
	err := c.upload(ctx, "doc/import", url.Values{"name": {name}}, readerBody(archive), "application/vnd.ipld.car", nil, &d)
	return d, err
}

// SetDoc sets a register to a JSON value that is no array and no object.
func (c *Client) SetDoc(ctx context.Context, at DocPath, value string) (Edited, error) {
	q := at.query()
	q.Set("value", value)
	return post[Edited](ctx, c, "doc/set", q)
}

// RemoveDoc removes what is somewhere.
func (c *Client) RemoveDoc(ctx context.Context, at DocPath) (Edited, error) {
	return post[Edited](ctx, c, "doc/rm", at.query())
}

// PutText makes a text be what is read, by changing what differs.
func (c *Client) PutText(ctx context.Context, at DocPath, text io.Reader) (Edited, error) {
	var e Edited
	err := c.upload(ctx, "doc/text", at.query(), readerBody(text), "text/plain; charset=utf-8", nil, &e)
	return e, err
}

// WatchDoc yields what changes, until ctx ends.
func (c *Client) WatchDoc(ctx context.Context, doc string) iter.Seq2[Delta, error] {
	return items[Delta](ctx, c, "doc/watch", url.Values{"doc": {doc}})
}

// DocLog yields the commits of a document.
func (c *Client) DocLog(ctx context.Context, doc string) iter.Seq2[Entry, error] {
	return items[Entry](ctx, c, "doc/log", url.Values{"doc": {doc}})
}

// ShareDoc makes a ticket with a role: for an author, or with "" for who redeems it first.
func (c *Client) ShareDoc(ctx context.Context, doc, role, author string) (Ticket, error) {
	return post[Ticket](ctx, c, "doc/share", url.Values{"doc": {doc}, "role": {role}, "author": {author}})
}

// DocMembers yields who has a role in a document.
func (c *Client) DocMembers(ctx context.Context, doc string) iter.Seq2[Member, error] {
	return items[Member](ctx, c, "doc/members", url.Values{"doc": {doc}})
}

// Grant gives an author a role in a document.
func (c *Client) Grant(ctx context.Context, doc, author, role string) error {
	return c.call(ctx, http.MethodPost, "doc/grant", url.Values{"doc": {doc}, "role": {role}, "author": {author}}, nil, nil)
}
