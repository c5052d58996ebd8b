package control

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// AddOptions say how to add. The zero value pins, with the default profile.
type AddOptions struct {
	Profile  string // empty: the node's default
	Name     string // of the pin
	NoPin    bool
	OnlyHash bool
}

func (o AddOptions) query() url.Values {
	return url.Values{
		"profile":   {o.Profile},
		"name":      {o.Name},
		"no-pin":    {strconv.FormatBool(o.NoPin)},
		"only-hash": {strconv.FormatBool(o.OnlyHash)},
	}
}

// AddFile adds the bytes of r as a file. When it returns, they are durable.
func (c *Client) AddFile(ctx context.Context, r io.Reader, o AddOptions) (Item, error) {
	var root Item
	err := c.upload(ctx, "add", o.query(), readerBody(r), "application/octet-stream", nil, &root)
	return root, err
}

// AddTree adds what pack writes: entries with names relative to the root, which
// is "."; modes and times of zero are not recorded. Items come in as they are
// built, the root last as the result; all are durable when AddTree returns.
func (c *Client) AddTree(ctx context.Context, pack func(*tar.Writer) error, o AddOptions, item func(Item)) (Item, error) {
	b := &body{write: func(w io.Writer) error {
		buf := bufio.NewWriterSize(w, bufferSize) // net/http flushes every write
		t := tar.NewWriter(buf)
		if err := pack(t); err != nil {
			return err
		}
		return errors.Join(t.Close(), buf.Flush())
	}}
	var root Item
	err := c.upload(ctx, "add", o.query(), b, typeTar, on(kindItem, item), &root)
	return root, err
}

// upload sends b while it reads the events of the answer.
func (c *Client) upload(ctx context.Context, route string, query url.Values, b *body, contentType string, on func(string, []byte) error, result any) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	resp, err := c.do(ctx, http.MethodPost, route, query, b, contentType)
	if err == nil {
		defer resp.Body.Close()
		err = interrupted(ctx, readEvents(resp.Body, on, result))
	}
	if cause := b.failure(); err != nil && cause != nil {
		return cause // whatever it looked like from the other end
	}
	return err
}

// body is a request body that write produces. net/http calls WriteTo, which
// needs no buffer in between; Read is for whoever does not.
type body struct {
	write func(io.Writer) error

	mu   sync.Mutex // guards the following fields
	pipe *io.PipeReader
	err  error // of what write reads from, not of where it writes to
}

func readerBody(r io.Reader) *body {
	return &body{write: func(w io.Writer) error {
		_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, make([]byte, 1<<20))
		return err
	}}
}

func (b *body) run(w io.Writer) (int64, error) {
	to := &sink{w: w}
	err := b.write(to)
	if err != nil && to.err == nil {
		b.mu.Lock()
		b.err = err
		b.mu.Unlock()
	}
	return to.n, err
}

// failure is why write could not go on, if that was not the connection.
func (b *body) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

func (b *body) WriteTo(w io.Writer) (int64, error) { return b.run(w) }

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	if b.pipe == nil {
		r, w := io.Pipe()
		b.pipe = r
		go func() { // ends with Close at the latest
			_, err := b.run(w)
			w.CloseWithError(err)
		}()
	}
	pipe := b.pipe
	b.mu.Unlock()
	return pipe.Read(p)
}

func (b *body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pipe != nil {
		return b.pipe.Close()
	}
	return nil
}

// sink counts, and remembers whether writing failed.
type sink struct {
	w   io.Writer
	n   int64
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.n += int64(n)
	if err != nil {
		s.err = err
	}
	return n, err
}

func lineReader(line string) io.Reader { return strings.NewReader(line + "\n") }
