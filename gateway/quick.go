package gateway

import (
	"context"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/gabriel-vasile/mimetype"
	"github.com/ipfs/go-cid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/p2pnode/p2pnode/block"
)

// quick answers the most common request, a small file that is held here and
// that nothing special is asked about, without the machinery that every other
// request needs. It answers exactly as boxo would, header for header, or leaves
// the request alone; TestQuickIsNotDifferent holds it to that.
type quick struct {
	store  block.Getter
	served prometheus.Counter
}

const (
	// quickPathSizeMax is the longest path in bytes that is answered quickly.
	quickPathSizeMax = 512
	// quickSegmentsMax is the most path segments, root included.
	quickSegmentsMax = 16

	immutable = "public, max-age=29030400, immutable"
)

// newQuick shares the counter of answers with boxo's gateway, which has
// registered it.
func newQuick(local block.Getter, metrics prometheus.Registerer) (*quick, error) {
	answers := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "ipfs", Subsystem: "http", Name: "gw_responses_total",
		Help: "Total number of HTTP responses sent by the gateway, labeled by status code.",
	}, []string{"code"})
	if err := metrics.Register(answers); err != nil {
		registered, ok := err.(prometheus.AlreadyRegisteredError)
		if !ok {
			return nil, err
		}
		answers = registered.ExistingCollector.(*prometheus.CounterVec)
	}
	return &quick{store: local, served: answers.WithLabelValues("200")}, nil
}

// serve answers r, or does nothing and returns false.
func (q *quick) serve(w http.ResponseWriter, r *http.Request, from origin) bool {
	if !from.content || !plain(r) {
		return false
	}
	whole := from.prefix + r.URL.Path
	segments, ok := split(whole)
	if !ok {
		return false
	}
	f, ok := q.find(r.Context(), segments)
	if !ok {
		return false
	}
	f.header(w.Header(), whole, segments)
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(f.data) // fails when the client is gone
	}
	q.served.Inc()
	return true
}

// plain tells whether nothing in r asks for more than the file.
func plain(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || r.URL.RawQuery != "" {
		return false
	}
	for _, name := range []string{
		"Range", "If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since", "If-Range",
		"Cache-Control", "Service-Worker", "X-Forwarded-Host", "X-Forwarded-Proto",
	} {
		if r.Header[name] != nil {
			return false
		}
	}
	for _, accept := range r.Header["Accept"] {
		for _, format := range []string{"vnd.", "x-tar", "json", "cbor"} {
			if strings.Contains(accept, format) {
				return false
			}
		}
	}
	return true
}

// split cuts "/ipfs/CID/a/b" into CID, a and b. It takes only paths that mean
// the same in a path, in a header and in a URI.
func split(whole string) ([]string, bool) {
	rest, ok := strings.CutPrefix(whole, "/ipfs/")
	if !ok || len(whole) > quickPathSizeMax {
		return nil, false
	}
	for i := range len(rest) {
		c := rest[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-._~/", rune(c)) {
			return nil, false
		}
	}
	segments := strings.Split(rest, "/")
	if len(segments) > quickSegmentsMax {
		return nil, false
	}
	for _, s := range segments {
		if s == "" || s == "." || s == ".." {
			return nil, false
		}
	}
	return segments, true
}

// file is a file of one block, and the way to it.
type file struct {
	roots []cid.Cid // of every segment, the file's last
	data  []byte
}

// find walks from the root to the file, through what is held here.
func (q *quick) find(ctx context.Context, segments []string) (f file, ok bool) {
	c, err := cid.Decode(segments[0])
	if err != nil {
		return file{}, false
	}
	f.roots = make([]cid.Cid, 0, len(segments))
	for depth := 0; ; depth++ {
		codec := c.Type()
		if codec != cid.Raw && codec != cid.DagProtobuf {
			return file{}, false
		}
		b, err := q.store.Get(ctx, c)
		if err != nil {
			return file{}, false
		}
		f.roots = append(f.roots, c)
		if depth == len(segments)-1 {
			f.data = b.RawData()
			if codec == cid.DagProtobuf {
				f.data, ok = fileData(f.data)
				return f, ok
			}
			return f, true
		}
		if codec != cid.DagProtobuf {
			return file{}, false
		}
		if c, ok = findLink(b.RawData(), segments[depth+1]); !ok {
			return file{}, false
		}
	}
}

func (f file) header(h http.Header, whole string, segments []string) {
	root, last := f.roots[0], f.roots[len(f.roots)-1].String()
	var roots strings.Builder
	for _, c := range f.roots[:len(f.roots)-1] {
		roots.WriteString(c.String())
		roots.WriteByte(',')
	}
	roots.WriteString(last)
	rest := whole[len("/ipfs/")+len(segments[0]):]
	h["X-Ipfs-Path"] = []string{whole}
	h["X-Ipfs-Roots"] = []string{roots.String()}
	h["Ipfs-Uri"] = []string{"ipfs://" + cid.NewCidV1(root.Type(), root.Hash()).String() + rest}
	h["Etag"] = []string{`"` + last + `"`}
	h["Cache-Control"] = []string{immutable}
	h["Accept-Ranges"] = []string{"bytes"}
	h["Content-Length"] = []string{strconv.Itoa(len(f.data))}
	h["Content-Type"] = []string{contentType(segments, f.data)}
}

// contentType goes by the name's extension, else by the first bytes. A browser
// is left to find out the encoding of HTML by itself.
func contentType(segments []string, data []byte) string {
	var t string
	if len(segments) > 1 { // a CID is not a file name
		t = mime.TypeByExtension(path.Ext(segments[len(segments)-1]))
	}
	if t == "" {
		t = mimetype.Detect(data).String()
	}
	if strings.HasPrefix(t, "text/html;") {
		return "text/html"
	}
	return t
}
