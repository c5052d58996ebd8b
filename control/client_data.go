package control

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"bufio"
)

// Data is an answer of bytes. Read returns io.EOF only if all of it has arrived.
type Data struct {
	Size int64 // bytes, as announced; -1 if unknown

	ctx  func() error // why the caller gave up, nil if it did not
	resp *http.Response
	end  error // of the stream, once it is reached
}

func (c *Client) data(ctx context.Context, route string, query url.Values) (*Data, error) {
	resp, err := c.do(ctx, http.MethodGet, route, query, nil, "")
	if err != nil {
		return nil, err
	}
	d := &Data{Size: -1, resp: resp, ctx: func() error { return context.Cause(ctx) }}
	if n, err := strconv.ParseInt(resp.Header.Get(sizeHeader), 10, 64); err == nil {
		d.Size = n
	}
	return d, nil
}

// Read implements io.Reader.
func (d *Data) Read(p []byte) (int, error) {
	if d.end != nil {
		return 0, d.end
	}
	n, err := d.resp.Body.Read(p)
	if err != nil {
		d.end = d.verdict(err)
		err = d.end
	}
	return n, err
}

// verdict is what the end of the body means: the trailer tells, and without one
// the server did not get to say.
func (d *Data) verdict(err error) error {
	if cause := d.ctx(); cause != nil {
		return cause
	}
	last := d.resp.Trailer.Get(resultTrailer)
	if !errors.Is(err, io.EOF) || last == "" {
		return truncated(err)
	}
	if err := readEvents(lineReader(last), nil, nil); err != nil {
		return err
	}
	return io.EOF
}

// Finish reads what is left, which should be nothing, and returns how the answer
// ended: nil if all is well. A reader that failed asks it for the reason.
func (d *Data) Finish() error {
	_, err := io.Copy(io.Discard, d)
	return err
}

// Close gives up what has not been read.
func (d *Data) Close() error { return d.resp.Body.Close() }

// Cat returns bytes of a file; a length below zero means all from offset.
func (c *Client) Cat(ctx context.Context, r Ref, offset, length int64, id string) (*Data, error) {
	q := r.query()
	q.Set("id", id)
	q.Set("offset", strconv.FormatInt(offset, 10))
	if length >= 0 {
		q.Set("length", strconv.FormatInt(length, 10))
	}
	return c.data(ctx, "cat", q)
}

// ExportCAR returns the DAG below r as CARv1.
func (c *Client) ExportCAR(ctx context.Context, r Ref) (*Data, error) {
	return c.data(ctx, "car/export", r.query())
}

// Tree is a file or directory as it arrives: a tar of names relative to the
// root, which is ".", in depth-first order. Names come from strangers.
type Tree struct {
	*tar.Reader
	Data *Data
}

// Get returns the file or directory at r. A non-empty id lets Watch follow it.
func (c *Client) Get(ctx context.Context, r Ref, id string) (*Tree, error) {
	q := r.query()
	q.Set("id", id)
	d, err := c.data(ctx, "get", q)
	if err != nil {
		return nil, err
	}
	return &Tree{Reader: tar.NewReader(bufio.NewReaderSize(d, bufferSize)), Data: d}, nil
}

// Next goes to the next entry. It returns io.EOF only if all has arrived.
func (t *Tree) Next() (*tar.Header, error) {
	h, err := t.Reader.Next()
	if err == nil {
		return h, nil
	}
	return nil, t.reason(err)
}

// Read reads from the current entry.
func (t *Tree) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = t.reason(err)
	}
	return n, err
}

// reason turns what a broken archive looks like into what broke it.
func (t *Tree) reason(err error) error {
	if end := t.Data.Finish(); end != nil {
		return end
	}
	return err
}

// Close gives up what has not been read.
func (t *Tree) Close() error { return t.Data.Close() }
