package main

import (
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// editConfig replaces the value of a key in TOML text, or appends it. All else,
// comments too, stays as it is. Keys are not in tables here, so a statement
// begins with its key at the beginning of a line, and ends with the first line
// up to which it can be parsed.
func editConfig(text, key string, v any) (string, error) {
	line, err := toml.Marshal(map[string]any{key: v})
	if err != nil {
		return "", err
	}
	lines := strings.SplitAfter(text, "\n")
	for i, l := range lines {
		if !assigns(l, key) {
			continue
		}
		for end := i + 1; end <= len(lines); end++ {
			if old := strings.Join(lines[i:end], ""); parses(old) {
				fresh := strings.TrimRight(string(line), "\n") + comment(l, end == i+1) + "\n"
				return strings.Join(lines[:i], "") + fresh + strings.Join(lines[end:], ""), nil
			}
		}
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text + string(line), nil
}

// assigns tells whether a line gives key a value.
func assigns(line, key string) bool {
	name, _, ok := strings.Cut(line, "=")
	return ok && strings.Trim(strings.TrimSpace(name), `"'`) == key
}

func parses(text string) bool {
	var m map[string]any
	return toml.Unmarshal([]byte(text), &m) == nil
}

// comment is what follows the value of a statement on one line: the shortest
// end that begins with # and without which the line still parses.
func comment(line string, single bool) string {
	if !single {
		return ""
	}
	line = strings.TrimRight(line, "\r\n")
	for i := range line {
		if line[i] == '#' && parses(line[:i]) {
			return " " + line[i:]
		}
	}
	return ""
}
