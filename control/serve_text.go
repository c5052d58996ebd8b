package control

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"unicode/utf8"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/replica"
)

const (
	// textBytesMax is the longest text in bytes that is put at once.
	textBytesMax = 16 << 20
	// pieceBytesMax is how much of it goes into one commit, which has room for some more.
	pieceBytesMax = 128 << 10
)

// docText makes a text be what the body says, by changing what differs: in several commits, the last of
// which is told, if that is much.
func (s *server) docText(ctx context.Context, p *params, r *http.Request, _ *stream) (any, error) {
	var body bytes.Buffer
	if _, err := body.ReadFrom(http.MaxBytesReader(nil, r.Body, textBytesMax)); err != nil {
		return nil, &Error{Code: CodeUsage, Message: fmt.Sprintf("read text: %v", err), cause: err}
	}
	if !utf8.Valid(body.Bytes()) {
		return nil, &Error{Code: CodeUsage, Message: "read text: it is not UTF-8"}
	}
	for {
		whole := false
		edited, err := s.docEdit(ctx, p, func(_ *replica.Doc, path []string) func(*crdt.Tx) error {
			return func(tx *crdt.Tx) error {
				m, k := at(tx, path)
				t := m.Text(k)
				first, remove, insert := difference(t.Before(), body.String())
				piece := pieceOf(insert)
				t.Delete(first, remove)
				t.Insert(first, piece)
				whole = len(piece) == len(insert)
				return nil
			}
		})
		if err != nil || whole {
			return edited, err
		}
	}
}

// difference is what makes one text be another: where, how many code points to remove, and what to
// insert there.
func difference(have, want string) (first, remove int, insert string) {
	front := 0 // bytes
	for front < len(have) && front < len(want) && have[front] == want[front] {
		front++
	}
	for front > 0 && (inRune(have, front) || inRune(want, front)) {
		front--
	}
	a, b := have[front:], want[front:]
	back := 0
	for back < len(a) && back < len(b) && a[len(a)-1-back] == b[len(b)-1-back] {
		back++
	}
	for back > 0 && (inRune(a, len(a)-back) || inRune(b, len(b)-back)) {
		back--
	}
	return utf8.RuneCountInString(have[:front]), utf8.RuneCountInString(a[:len(a)-back]), b[:len(b)-back]
}

// inRune tells whether a code point of a text is cut before its byte i.
func inRune(text string, i int) bool { return i < len(text) && !utf8.RuneStart(text[i]) }

// pieceOf is as much of the beginning of a text as goes into one commit.
func pieceOf(text string) string {
	if len(text) <= pieceBytesMax {
		return text
	}
	n := pieceBytesMax
	for inRune(text, n) {
		n--
	}
	return text[:n]
}
