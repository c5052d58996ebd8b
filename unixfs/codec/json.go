package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
)

var errJSONLink = errors.New("map of the key \"/\" is neither a link nor bytes")

// jsonLinks finds the links of a dag-json value, which are maps of one key:
// {"/": "CID"} (https://ipld.io/specs/codecs/dag-json/spec/). It looks at one
// token at a time. {"/": {"bytes": "…"}} is a byte string.
func jsonLinks(b []byte) ([]Link, error) {
	s := jsonScan{d: json.NewDecoder(bytes.NewReader(b))}
	s.d.UseNumber()
	if err := s.value(0); err != nil {
		return nil, err
	}
	if _, err := s.d.Token(); !errors.Is(err, io.EOF) {
		return nil, errTrailing
	}
	return s.links, nil
}

type jsonScan struct {
	d     *json.Decoder
	links []Link
}

func (s *jsonScan) value(depth int) error {
	t, err := s.d.Token()
	if err != nil {
		return err
	}
	if depth == nestedMax {
		return errNested
	}
	switch t {
	case json.Delim('['):
		for s.d.More() {
			if err := s.value(depth + 1); err != nil {
				return err
			}
		}
	case json.Delim('{'):
		return s.object(depth)
	default:
		return nil
	}
	_, err = s.d.Token()
	return err
}

// object reads a map behind its opening brace.
func (s *jsonScan) object(depth int) error {
	for first := true; s.d.More(); first = false {
		key, err := s.d.Token()
		if err != nil {
			return err
		}
		if key == "/" && first {
			return s.slash()
		}
		if err := s.value(depth + 1); err != nil {
			return err
		}
	}
	_, err := s.d.Token()
	return err
}

// slash reads a map behind the key "/", which is reserved for links and bytes.
func (s *jsonScan) slash() error {
	var v any
	if err := s.d.Decode(&v); err != nil {
		return err
	}
	end, err := s.d.Token()
	if err != nil || end != json.Delim('}') {
		return errJSONLink
	}
	switch v := v.(type) {
	case string:
		c, err := cid.Decode(v)
		if err != nil {
			return err
		}
		if err := block.Check(c); err != nil {
			return err
		}
		s.links, err = addLink(s.links, c)
		return err
	case map[string]any:
		if _, ok := v["bytes"].(string); ok && len(v) == 1 {
			return nil
		}
	}
	return errJSONLink
}
