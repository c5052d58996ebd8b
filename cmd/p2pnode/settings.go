package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"errors"

	"github.com/pelletier/go-toml/v2"
)

// configName is the configuration file in the repo.
const configName = "config.toml"

// kind is what a setting holds.
type kind int

const (
	text kind = iota
	list
	truth
)

// setting is one key of the configuration. Its variable in the environment is
// P2PNODE_ and the key in capitals; of the commands, daemon has its flag.
type setting struct {
	key     string
	kind    kind
	missing any // the default: string, []string or bool
	doc     string
	check   func(string) error // of a text, or of each in a list
}

// settings are all keys, in the order in which they are listed.
func settings() []setting {
	return []setting{
		{"network", text, "p2pnode", "name of the network to join; ipfs is the public one", checkNetwork},
		{"listen", list, []string(nil), "multiaddrs to listen on; empty means TCP and QUIC on port 4101, or any if it is taken", checkAddr},
		{"bootstrap", list, []string(nil), "multiaddrs with /p2p/ID of peers to join the network by", checkPeerAddr},
		{"mdns", truth, true, "look for peers on the local network", nil},
		{"psk_file", text, "", "file with the 32-byte key, in hex, of a private network", nil},
		{"gateway", text, "127.0.0.1:8080", "host:port of the HTTP gateway, the next free port if it is taken; off for none", checkListen},
		{"api", text, "off", "loopback host:port of the control API beside its socket; off for none", checkAPI},
		{"limit_up", text, "0", "how fast blocks are sent to peers beyond the local network, such as 2mbit or 1MB; 0 is unlimited", checkRate},
		{"limit_down", text, "0", "how fast blocks are received from them; 0 is unlimited", checkRate},
		{"log_level", text, "warn", "debug, info, warn or error", checkLevel},
	}
}

// findSetting returns the setting of that key.
func findSetting(key string) (setting, error) {
	for _, s := range settings() {
		if s.key == key {
			return s, nil
		}
	}
	return setting{}, invalid(suggest(key), "unknown key %q", key)
}

// suggest names the key that was probably meant.
func suggest(key string) string {
	best, bestAt := "", 4
	for _, s := range settings() {
		if d := distance(strings.ToLower(strings.ReplaceAll(key, "-", "_")), s.key); d < bestAt {
			best, bestAt = s.key, d
		}
	}
	if best == "" {
		return "p2pnode config list shows all keys"
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// distance is Levenshtein's: letters to insert, delete or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// env is the variable of a setting.
func (s setting) env() string { return "P2PNODE_" + strings.ToUpper(s.key) }

// flagName is the flag of a setting.
func (s setting) flagName() string { return strings.ReplaceAll(s.key, "_", "-") }

// parse reads a value from text, where a list is separated by commas.
func (s setting) parse(value string) (any, error) {
	switch s.kind {
	case truth:
		v, err := strconv.ParseBool(value)
		if err != nil {
			return nil, fmt.Errorf("%q is not true or false", value)
		}
		return v, nil
	case list:
		var v []string
		for part := range strings.SplitSeq(value, ",") {
			if part = strings.TrimSpace(part); part != "" {
				v = append(v, part)
			}
		}
		return v, s.valid(v...)
	default:
		return value, s.valid(value)
	}
}

// decode reads a value that came from TOML.
func (s setting) decode(value any) (any, error) {
	switch v := value.(type) {
	case bool:
		if s.kind == truth {
			return v, nil
		}
	case string:
		if s.kind == text {
			return v, s.valid(v)
		}
	case []any:
		if s.kind != list {
			break
		}
		texts := make([]string, len(v))
		for i := range v {
			t, ok := v[i].(string)
			if !ok {
				return nil, fmt.Errorf("%v is not a string", v[i])
			}
			texts[i] = t
		}
		return texts, s.valid(texts...)
	}
	return nil, fmt.Errorf("%v is not %s", value, [...]string{"a string", "a list of strings", "true or false"}[s.kind])
}

func (s setting) valid(values ...string) error {
	if s.check == nil {
		return nil
	}
	for _, v := range values {
		if err := s.check(v); err != nil {
			return err
		}
	}
	return nil
}

// value is the value of a setting, and where it comes from.
type value struct {
	setting
	v      any
	origin string // "default", the file's name, or the variable
}

// config holds the value of every key, as environment, file and defaults have it.
type config map[string]value

func (c config) text(key string) string   { return c[key].v.(string) }
func (c config) list(key string) []string { return c[key].v.([]string) }
func (c config) truth(key string) bool    { return c[key].v.(bool) }

// loadConfig reads the configuration of the repo in dir, which need not exist.
func loadConfig(dir string) (config, error) {
	path := filepath.Join(dir, configName)
	file, err := readConfig(path)
	if err != nil {
		return nil, err
	}
	c := make(config)
	for _, s := range settings() {
		v := value{setting: s, v: s.missing, origin: "default"}
		if raw, ok := file[s.key]; ok {
			if v.v, err = s.decode(raw); err != nil {
				return nil, invalid("p2pnode config explain "+s.key, "read %s: %s: %v", path, s.key, err)
			}
			v.origin = path
		}
		if raw := os.Getenv(s.env()); raw != "" {
			if v.v, err = s.parse(raw); err != nil {
				return nil, invalid("p2pnode config explain "+s.key, "read $%s: %v", s.env(), err)
			}
			v.origin = "$" + s.env()
		}
		c[s.key] = v
	}
	return c, nil
}

// readConfig reads the file alone. Keys that are none are an error.
func readConfig(path string) (map[string]any, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseConfig(path, data)
}

func parseConfig(path string, data []byte) (map[string]any, error) {
	var file map[string]any
	if err := toml.Unmarshal(data, &file); err != nil {
		var at *toml.DecodeError
		if errors.As(err, &at) {
			row, col := at.Position()
			return nil, invalid("", "read %s:%d:%d: %v", path, row, col, err)
		}
		return nil, invalid("", "read %s: %v", path, err)
	}
	keys := make([]string, 0, len(file))
	for key := range file {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if _, err := findSetting(key); err != nil {
			return nil, invalid(suggest(key), "read %s: unknown key %q", path, key)
		}
	}
	return file, nil
}
