package gateway

import (
	"errors"
	"net/http"
	"strings"
	"time"
)

// streamError is the header in which boxo reports a stream that failed when its
// status was already sent.
const streamError = "X-Stream-Error"

// faults begin the 500s of boxo that are the content's fault: its first bytes
// cannot be read, or it claims a size that no file has. What remains is a
// _redirects file that cannot be parsed, for which 500 is the specified answer.
var faults = [...]string{"cannot detect content-type", "negative content size"}

// response watches what boxo writes: every byte is progress, a 500 for a block
// that could not be had becomes a 504, and a stream that failed is noticed.
type response struct {
	http.ResponseWriter
	fetch   *fetch
	idleMax time.Duration // for a client to take bytes

	status   int
	held     bool      // a 500 waits for its body, to see what it is about
	muted    bool      // the body was replaced
	extended time.Time // when the client was last given time
}

func (w *response) WriteHeader(status int) {
	switch {
	case w.status != 0 || w.held:
		return
	case status < http.StatusOK:
		w.ResponseWriter.WriteHeader(status)
		return
	case w.Header().Get(streamError) != "":
		w.lost(http.StatusBadGateway, w.Header().Get(streamError))
		return
	case status >= http.StatusInternalServerError && w.fetch.failure() != nil:
		w.lost(http.StatusBadGateway, "")
		return
	case status == http.StatusInternalServerError:
		w.held = true
		return
	case status == http.StatusPartialContent && w.Header().Get("Content-Length") == "0":
		// An empty file has no last n bytes, so the range is not one: the whole
		// file is as good an answer, and has a header that can be written.
		status = http.StatusOK
		w.Header().Del("Content-Range")
	}
	w.status = status
	extend(w.ResponseWriter, w.idleMax)
	w.ResponseWriter.WriteHeader(status)
}

// lost answers in boxo's place that there is no content: with 504 if a block
// could not be had, else with status.
func (w *response) lost(status int, message string) {
	h := w.Header()
	if err := w.fetch.failure(); err != nil {
		message = err.Error()
		switch {
		case errors.Is(err, errBusy):
			status = http.StatusServiceUnavailable
			h.Set("Retry-After", retryAfterSeconds)
		case !refused(err):
			status = http.StatusGatewayTimeout
		}
	}
	for _, name := range []string{streamError, "Accept-Ranges", "Content-Disposition", "Content-Range", "Etag", "Last-Modified", "X-Ipfs-Roots"} {
		h.Del(name)
	}
	h.Set("Cache-Control", "no-store") // boxo may have declared the content immutable
	w.status, w.muted = status, true
	extend(w.ResponseWriter, w.idleMax)
	http.Error(w.ResponseWriter, message, status)
}

func (w *response) Write(p []byte) (int, error) {
	if w.held {
		w.release(string(p))
	} else if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.muted {
		return len(p), nil
	}
	w.fetch.timer.Stop() // from here the client is waited for
	if now := time.Now(); now.Sub(w.extended) > w.idleMax/2 {
		w.extended = now
		extend(w.ResponseWriter, w.idleMax)
	}
	n, err := w.ResponseWriter.Write(p)
	w.fetch.timer.Reset(w.fetch.timeout)
	return n, err
}

// release sends the status that was held, now that its body is known.
func (w *response) release(body string) {
	w.held = false
	for _, fault := range faults {
		if strings.HasPrefix(body, fault) {
			w.lost(http.StatusBadGateway, strings.TrimSpace(body))
			return
		}
	}
	w.status = http.StatusInternalServerError
	extend(w.ResponseWriter, w.idleMax)
	w.ResponseWriter.WriteHeader(w.status)
}

// Flush sends what is buffered.
func (w *response) Flush() {
	if f, ok := w.ResponseWriter.(http.Flusher); ok && !w.held && !w.muted {
		f.Flush()
	}
}

// incomplete tells whether the client has been sent a status that promised more
// than was then sent. It holds for streams; where a Content-Length was sent,
// net/http notices by itself.
func (w *response) incomplete() bool {
	return w.status != 0 && !w.muted && w.Header().Get(streamError) != ""
}

// end sends a status without body that is still held.
func (w *response) end() {
	if w.held {
		w.release("")
	}
}

// extend gives the client idleMax to take what is written from now on, and at
// least half of it for what comes later. The deadline outlives the response,
// whose end net/http still has to send; the next request on the connection
// begins with a new one.
func extend(w http.ResponseWriter, idleMax time.Duration) {
	// It fails on a connection that is gone, which the write will tell, and on
	// writers that have no connection.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(idleMax))
}
