package main

import (
	"bytes"
	"errors"
	"testing"

	"github.com/p2pnode/p2pnode/control"
)

func TestDisplay(t *testing.T) {
	for text, want := range map[string]string{
		"plain.txt":          "plain.txt",
		"größe 👩‍🔬 日本":       "größe 👩‍🔬 日本",
		"\x1b[31mred":        `\x1b[31mred`,
		"two\nlines\r\t\x7f": `two\x0alines\x0d\x09\x7f`,
		"\u009bcsi":          `\u009bcsi`,
		"evil\u202Etxt.exe":  `evil\u202etxt.exe`,
		"bad\xff\xfe":        `bad\xff\xfe`,
		"real\uFFFD":         `real\ufffd`,
		"line\u2028sep":      `line\u2028sep`,
	} {
		if got := display(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestReport(t *testing.T) {
	for _, test := range []struct {
		err     error
		running bool
		json    bool
		code    int
		out     string
		stderr  string
	}{
		{nil, true, false, 0, "", ""},
		{errors.New("boom\x1b"), true, false, 1, "", "p2pnode: error: boom\\x1b\n"},
		{errors.New("unknown flag"), false, false, 2, "", "p2pnode: error: unknown flag\nhint: see p2pnode --help\n"},
		{errors.Join(errors.New("a"), errors.New("b")), true, false, 1, "", "p2pnode: error: a; b\n"},
		{&nameError{Path: "x", What: "bad"}, true, false, 7, "", "p2pnode: error: extract x: bad\nhint: whoever made this directory made it to harm or by mistake; p2pnode cat reads single files of it\n"},
		{errSignal, true, false, 130, "", "p2pnode: error: interrupted\n"},
		{&control.Error{Code: 3, Message: "half"}, true, true, 3, `{"v":1,"type":"error","code":3,"message":"half"}` + "\n", "p2pnode: error: half\n"},
	} {
		var out, stderr bytes.Buffer
		a := &app{stdout: &out, stderr: &stderr, running: test.running, json: test.json}
		if code := a.report(test.err); code != test.code || out.String() != test.out || stderr.String() != test.stderr {
			t.Errorf("%v: code %d, out %q, err %q", test.err, code, out.String(), stderr.String())
		}
	}
}
