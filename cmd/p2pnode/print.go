package main

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/p2pnode/p2pnode/control"
)

// display makes text of strangers fit for a terminal: control characters, which
// could move the cursor or retitle the window, and what would hide or reverse
// other text are escaped.
func display(text string) string {
	if strings.IndexFunc(text, hostile) < 0 && utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case !hostile(r):
			b.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

func hostile(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' || r == utf8.RuneError
}

// count is n things in words; thing is the singular.
func count[N int | int64](n N, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// println prints a line of data, with names made fit for a terminal.
func (a *app) println(fields ...string) error {
	for i := range fields {
		fields[i] = display(fields[i])
	}
	_, err := fmt.Fprintln(a.stdout, strings.Join(fields, " "))
	return err
}

// note tells something that is no data, unless nothing shall be told.
func (a *app) note(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.stderr, "p2pnode: "+format+"\n", args...)
	}
}

// emit prints an event in JSON.
func (a *app) emit(kind string, v any) error {
	_, err := a.stdout.Write(control.EncodeEvent(kind, v))
	return err
}

// result prints the answer of a query: as JSON, or as text says.
func (a *app) result(v any, text func() error) error {
	if a.json {
		return a.emit("result", v)
	}
	return text()
}
