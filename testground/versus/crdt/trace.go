package main

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/p2pnode/p2pnode/crdt"
)

// patch is [position, deleted, inserted].
type patch struct {
	pos, deleted int
	inserted     string
}

func (p *patch) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &[]any{&p.pos, &p.deleted, &p.inserted})
}

// trace is who typed what: see the README of crdt/testdata.
type trace struct {
	EndContent string
	NumAgents  int // 0: one, who needs no parents
	Txns       []txn
}

type txn struct {
	Parents []int
	Agent   int
	Patches []patch
}

func readTrace(path string) (*trace, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("read trace %s: %w", path, err)
	}
	t := new(trace)
	if err := json.NewDecoder(z).Decode(t); err != nil {
		return nil, fmt.Errorf("read trace %s: %w", path, err)
	}
	if len(t.Txns) == 0 {
		return nil, fmt.Errorf("read trace %s: it is empty: %w", path, errWrong)
	}
	return t, nil
}

// textKey is where the text is.
const textKey = "t"

// edit makes the patches of a transaction.
func (t txn) edit(tx *crdt.Tx) error {
	text := tx.Text(textKey)
	for _, p := range t.Patches {
		text.Delete(p.pos, p.deleted)
		text.Insert(p.pos, p.inserted)
	}
	return nil
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// textOf is the text in what a document has under textKey.
func textOf(v any, ok bool) (string, error) {
	text, isText := v.(string)
	if !ok || !isText {
		return "", errors.New("the document has no text")
	}
	return text, nil
}
