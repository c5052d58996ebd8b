package main

import (
	"testing"
	"unicode/utf8"
)

func TestEditConfig(t *testing.T) {
	for _, test := range []struct{ text, key, want string }{
		{"", "network", "network = 'v'\n"},
		{"# only a comment", "network", "# only a comment\nnetwork = 'v'\n"},
		{"network = \"a # b\" # c\nmdns = true\n", "network", "network = 'v' # c\nmdns = true\n"},
		{"  \"network\"   =   'old'", "network", "network = 'v'\n"},
		{"network = '''\nmany\nlines'''\n# end\n", "network", "network = 'v'\n# end\n"},
		{"# network = 'no'\ngateway = 'network = x'\n", "network", "# network = 'no'\ngateway = 'network = x'\nnetwork = 'v'\n"},
	} {
		got, err := editConfig(test.text, test.key, "v")
		if err != nil || got != test.want {
			t.Errorf("%q: %q, %v, want %q", test.text, got, err, test.want)
		}
	}
}

func TestSuggest(t *testing.T) {
	for key, want := range map[string]string{
		"netwrk": `did you mean "network"?`, "psk-file": `did you mean "psk_file"?`, "Gateway": `did you mean "gateway"?`,
		"zzzzzzzzzzz": "p2pnode config list shows all keys",
	} {
		if got := suggest(key); got != want {
			t.Errorf("%s: %s", key, got)
		}
	}
}

func FuzzEditConfig(f *testing.F) {
	f.Add("network = 'a' # b\nlisten = [\n'/ip4/1.2.3.4/tcp/1',\n]\n", "v")
	f.Add("mdns = true", "\x00\n'\"")
	f.Fuzz(func(t *testing.T, text, v string) {
		before, err := parseConfig("c", []byte(text))
		if err != nil || !utf8.ValidString(v) {
			return
		}
		edited, err := editConfig(text, "network", v)
		if err != nil {
			return
		}
		after, err := parseConfig("c", []byte(edited))
		if err != nil {
			return // setConfig refuses it then
		}
		if after["network"] != v || len(after) < len(before) {
			t.Errorf("%q with %q: %q", text, v, edited)
		}
	})
}
