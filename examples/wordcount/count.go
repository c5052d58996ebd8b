package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"unicode"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/replica"
	"github.com/p2pnode/p2pnode/node"
	"github.com/p2pnode/p2pnode/unixfs"
)

const (
	// batch is how many counts go into one commit. For large files it is some thousands, up to
	// commit.ObjectsMax; so few make it easy to die in the middle.
	batch = 4
	// wordMax is where long words are cut, in characters: a word is a key, which must be short.
	wordMax = 64
)

// Table is where counts are written.
type Table interface {
	Update(ctx context.Context, f func(*crdt.Tx) error) (commit.ID, error)
}

// Map counts the words of all files that a node holds, and writes the counts to a table. It can
// be stopped at any time, and be begun again.
func Map(ctx context.Context, n *node.Node, table Table) error {
	for pin, err := range n.Pins(ctx) { // what is pinned is here, to the last block
		if err != nil {
			return err
		}
		if err := mapFile(ctx, n, table, pin.Cid); err != nil {
			return fmt.Errorf("count %s: %w", pin.Cid, err)
		}
	}
	return nil
}

// mapFile counts the words of one file. With the last counts it says how many words there are:
// without that, nobody could tell a part from the whole.
func mapFile(ctx context.Context, n *node.Node, table Table, file cid.Cid) error {
	f, err := n.OpenFile(ctx, unixfs.Path{Root: file})
	if err != nil {
		return err
	}
	defer f.Close()
	counts, err := count(f)
	if err != nil {
		return err
	}
	words := slices.Sorted(maps.Keys(counts))
	for len(words) > 0 {
		now := words[:min(len(words), batch)]
		words = words[len(now):]
		_, err := table.Update(ctx, func(tx *crdt.Tx) error {
			entry := tx.Map(file.String())
			for _, w := range now {
				entry.Map("counts").Set(w, counts[w])
			}
			if len(words) == 0 {
				entry.Set("words", len(counts))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// count counts words, which are letters in a row, in lower case.
func count(r io.Reader) (map[string]int, error) {
	in, counts, word := bufio.NewReader(r), make(map[string]int), []rune(nil)
	for {
		c, _, err := in.ReadRune()
		if err == nil && unicode.IsLetter(c) {
			if len(word) < wordMax {
				word = append(word, unicode.ToLower(c))
			}
			continue
		}
		if len(word) > 0 {
			counts[string(word)]++
			word = word[:0]
		}
		if err == io.EOF {
			return counts, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// Total is the counts of all files that were counted to the end.
type Total struct {
	Words        map[string]int
	Begun, Files int // of which something is counted; of which all is
}

// Reduce adds up what has been counted, as far as this replica knows.
func Reduce(ctx context.Context, doc *replica.Doc) (Total, error) {
	files, err := doc.View(ctx)
	t := Total{Words: make(map[string]int), Begun: len(files)}
	for _, v := range files {
		entry, _ := v.(map[string]any)
		counts, _ := entry["counts"].(map[string]any)
		if entry["words"] != int64(len(counts)) {
			continue // somebody is at it, or has died
		}
		t.Files++
		for word, n := range counts {
			n, _ := n.(int64)
			t.Words[word] += int(n)
		}
	}
	return t, err
}
