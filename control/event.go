package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// The kinds of events.
const (
	kindProgress = "progress"
	kindItem     = "item"
	kindResult   = "result"
	kindError    = "error"
)

const (
	typeEvents = "application/x-ndjson"
	// eventSizeMax bounds a line that a client reads, in bytes.
	eventSizeMax = 8 << 20
	// resultTrailer ends the routes that answer with data.
	resultTrailer = "P2pnode-Result"
)

// EncodeEvent returns v, which must encode as a JSON object, as one line: the
// version and the kind come first, then the fields of v. The command line
// prints the same lines.
func EncodeEvent(kind string, v any) []byte { return event(kind, v) }

func event(kind string, v any) []byte {
	fields := []byte("{}")
	if v != nil {
		var err error
		if fields, err = json.Marshal(v); err != nil || fields[0] != '{' {
			panic(fmt.Sprintf("event of %T is no JSON object: %v", v, err))
		}
	}
	line := fmt.Appendf(nil, `{"v":1,"type":%q`, kind)
	if len(fields) > 2 {
		line = append(line, ',')
	}
	return append(append(line, fields[1:]...), '\n')
}

// stream writes events.
type stream struct {
	w       http.ResponseWriter
	started bool
}

// item and progress send at once: someone watches.
func (s *stream) item(v any) error     { return s.send(kindItem, v) }
func (s *stream) progress(v any) error { return s.send(kindProgress, v) }

func (s *stream) send(kind string, v any) error {
	s.start(http.StatusOK)
	if _, err := s.w.Write(event(kind, v)); err != nil {
		return err
	}
	return http.NewResponseController(s.w).Flush()
}

func (s *stream) start(status int) {
	if s.started {
		return
	}
	s.started = true
	s.w.Header().Set("Content-Type", typeEvents)
	s.w.WriteHeader(status)
}

// end sends the last event. Whoever does not get it has noticed already.
func (s *stream) end(result any, err error) {
	if err != nil {
		e := Explain(err)
		s.start(e.status())
		_ = s.send(kindError, e)
		return
	}
	_ = s.send(kindResult, result)
}

// events makes a handler of a route that answers with events.
func (s *server) events(f func(context.Context, *params, *stream) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, bodyBytesMax)
		p := newParams(r)
		ctx, cancel := p.deadline(r.Context())
		defer cancel()
		out := &stream{w: w}
		result, err := f(ctx, p, out)
		err = s.judge(ctx, r, p, err)
		out.end(result, err)
	}
}

// upload makes a handler of a route whose body streams in while events go out.
func (s *server) upload(f func(context.Context, *params, *http.Request, *stream) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			(&stream{w: w}).end(nil, err)
			return
		}
		p := newParams(r)
		ctx, cancel := p.deadline(r.Context())
		defer cancel()
		out := &stream{w: w}
		result, err := f(ctx, p, r, out)
		err = s.judge(ctx, r, p, err)
		out.end(result, err)
		if err != nil {
			drain(w, r)
		}
	}
}

// drain reads on until the sender has seen the error and stops: a connection
// closed under a writer may lose what was written to it.
func drain(w http.ResponseWriter, r *http.Request) {
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(drainMax)); err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, r.Body) // its end, however it comes, is what is waited for
}

// data makes a handler of a route that answers with bytes and ends with the
// trailer. The route calls begin before its first byte.
func (s *server) data(f func(ctx context.Context, p *params, w *dataWriter) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, bodyBytesMax)
		p := newParams(r)
		ctx, cancel := p.deadline(r.Context())
		defer cancel()
		out := &dataWriter{w: w}
		err := s.judge(ctx, r, p, f(ctx, p, out))
		if !out.started {
			if err != nil {
				(&stream{w: w}).end(nil, err)
				return
			}
			out.begin("")
		}
		last := event(kindResult, nil)
		if err != nil {
			last = event(kindError, Explain(err))
		}
		w.Header().Set(resultTrailer, string(last[:len(last)-1]))
	}
}

// dataWriter is the body of a route that answers with bytes.
type dataWriter struct {
	w       http.ResponseWriter
	started bool
}

// begin sends the header, so that the client knows that the wait is over.
func (d *dataWriter) begin(contentType string) {
	d.started = true
	d.w.Header().Set("Trailer", resultTrailer)
	if contentType != "" {
		d.w.Header().Set("Content-Type", contentType)
	}
	d.w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(d.w).Flush() // the first write tells as well
}

func (d *dataWriter) Write(b []byte) (int, error) {
	if !d.started {
		d.begin("application/octet-stream")
	}
	return d.w.Write(b)
}

// judge logs an error of a route, and tells the end of the given time from
// whatever it has caused: parts of the node see no more than a cancelled context.
func (s *server) judge(ctx context.Context, r *http.Request, p *params, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		e := *Explain(context.DeadlineExceeded)
		e.Message, e.cause = fmt.Sprintf("gave up after %s: %v", p.text("timeout"), err), err
		return &e
	}
	if r.Context().Err() == nil {
		s.options.Logger.Debug("control request failed", "route", r.URL.Path, "err", err)
	}
	return err
}

// envelope is what every event has.
type envelope struct {
	V    int    `json:"v"`
	Type string `json:"type"`
}

// errTruncated means an answer without its end: the daemon died or was stopped.
var errTruncated = errors.New("answer ended early: the daemon went away")

func truncated(cause error) error {
	err := errTruncated
	if cause != nil && !errors.Is(cause, io.EOF) && !errors.Is(cause, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%w: %w", errTruncated, cause)
	}
	return &Error{Code: CodeUnreachable, Message: err.Error(), Retryable: true,
		Hint: "see what the daemon printed last", cause: err}
}

// readEvents reads events until the last, decodes that into result, and hands
// the others to on.
func readEvents(r io.Reader, on func(kind string, line []byte) error, result any) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, eventSizeMax)
	for lines.Scan() {
		line := lines.Bytes()
		var e envelope
		if err := json.Unmarshal(line, &e); err != nil || e.V != 1 {
			return &Error{Code: CodeUnreachable, Message: "answer is no p2pnode event", cause: err}
		}
		switch e.Type {
		case kindError:
			return decodeError(line)
		case kindResult:
			if result == nil {
				return nil
			}
			return json.Unmarshal(line, result)
		default:
			if on == nil {
				continue
			}
			if err := on(e.Type, line); err != nil {
				return err
			}
		}
	}
	return truncated(lines.Err())
}

func decodeError(line []byte) error {
	e := &Error{}
	if err := json.Unmarshal(line, e); err != nil {
		return fmt.Errorf("read error of daemon: %w", err)
	}
	if e.Code == CodeOK {
		e.Code = CodeGeneral
	}
	return e
}
