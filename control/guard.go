package control

import (
	"crypto/subtle"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// guard keeps web pages and strangers out: a page in the owner's browser can
// reach a loopback port, under a foreign name if DNS plays along, and its
// requests carry an Origin, a Sec-Fetch-Site or that name. Reads are guarded
// like writes, since the answers are nobody else's business either.
type guard struct {
	token string
	inner http.Handler
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	switch {
	case !localHost(r.Host):
		refuse(w, http.StatusForbidden, "host "+r.Host+" is not served")
	case !sameOrigin(r):
		refuse(w, http.StatusForbidden, "requests of web pages are not served")
	case !g.authorized(r):
		w.Header().Set("WWW-Authenticate", "Bearer")
		refuse(w, http.StatusUnauthorized, "wrong or missing token")
	default:
		g.inner.ServeHTTP(w, r)
	}
}

func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", typeEvents)
	w.WriteHeader(status)
	w.Write(event(kindError, &Error{Code: CodeAuth, Message: message})) // a client that is gone needs none
}

// localHost tells whether a request was sent to this machine by one of its own names.
func localHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	switch strings.Trim(host, "[]") {
	case "localhost", "127.0.0.1", "::1":
		return true
	}
	return false
}

// sameOrigin tells whether a request comes from outside of browsers, or from a
// page that this server itself has served.
func sameOrigin(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
	default:
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && u.Host == r.Host
}

func (g *guard) authorized(r *http.Request) bool {
	if g.token == "" {
		return true
	}
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && subtle.ConstantTimeCompare([]byte(given), []byte(g.token)) == 1
}
