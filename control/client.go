package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Client calls the control API of one node. Its methods are safe for concurrent
// use, and their errors are of type *Error where the server sent them.
type Client struct {
	base  string
	token string
	http  *http.Client
	stop  func() error // of the server, with Local
}

// newClient makes a client; first, if not nil, is a connection made already.
func newClient(base, token string, dial func(context.Context) (net.Conn, error), first net.Conn) *Client {
	var mu sync.Mutex
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			mu.Lock()
			c := first
			first = nil
			mu.Unlock()
			if c != nil {
				return c, nil
			}
			return dial(ctx)
		},
		ReadBufferSize:     bufferSize,
		WriteBufferSize:    bufferSize,
		DisableCompression: true,
		IdleConnTimeout:    time.Minute,
	}
	return &Client{base: base, token: token, http: &http.Client{Transport: t}}
}

// Close ends the client's connections, and with Local the server too.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	if c.stop == nil {
		return nil
	}
	return c.stop()
}

// do sends a request. An error answer is returned as its *Error.
func (c *Client) do(ctx context.Context, method, route string, query url.Values, body io.Reader, contentType string) (*http.Response, error) {
	u := c.base + "/api/v1/" + route
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, u, body)
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", route, err)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(ctx, route, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	if resp.Header.Get("Content-Type") != typeEvents {
		return nil, &Error{Code: CodeUnreachable, Message: fmt.Sprintf("call %s: daemon answers %s", route, resp.Status),
			Hint: "the daemon may be of another version"}
	}
	return nil, readEvents(resp.Body, nil, nil)
}

// unreachable tells the end of the caller's patience from the end of the daemon.
func unreachable(ctx context.Context, route string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("call %s: %w", route, context.Cause(ctx))
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without the URL, which means nothing to a user
	}
	return &Error{Code: CodeUnreachable, Message: fmt.Sprintf("call %s: %v", route, err), Retryable: true,
		Hint: "see what the daemon printed last", cause: err}
}

// call sends a request without a body and reads the events of its answer.
func (c *Client) call(ctx context.Context, method, route string, query url.Values, on func(kind string, line []byte) error, result any) error {
	resp, err := c.do(ctx, method, route, query, nil, "")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return interrupted(ctx, readEvents(resp.Body, on, result))
}

// interrupted prefers the caller's own reason to what it did to the stream.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func get[T any](ctx context.Context, c *Client, route string, query url.Values) (v T, err error) {
	err = c.call(ctx, http.MethodGet, route, query, nil, &v)
	return v, err
}

func post[T any](ctx context.Context, c *Client, route string, query url.Values) (v T, err error) {
	err = c.call(ctx, http.MethodPost, route, query, nil, &v)
	return v, err
}

// errEnough ends a stream that the caller has stopped reading.
var errEnough = errors.New("enough")

// items yields the items of a stream as they come.
func items[T any](ctx context.Context, c *Client, route string, query url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		err := c.call(ctx, http.MethodGet, route, query, func(kind string, line []byte) error {
			var v T
			if kind != kindItem {
				return nil
			}
			if err := json.Unmarshal(line, &v); err != nil {
				return err
			}
			if !yield(v, nil) {
				return errEnough
			}
			return nil
		}, nil)
		if err != nil && !errors.Is(err, errEnough) {
			var none T
			yield(none, err)
		}
	}
}

// on makes a handler of one kind of event.
func on[T any](want string, f func(T)) func(string, []byte) error {
	return func(kind string, line []byte) error {
		if kind != want || f == nil {
			return nil
		}
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			return err
		}
		f(v)
		return nil
	}
}
