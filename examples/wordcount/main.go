// Command wordcount counts words where the files are: each node counts the files that it holds,
// and writes the counts of each to a document that all share. There is no coordinator that hands
// out work; the reduction is the merge.
//
// The count of a word in a file stands under the CID of the file. A CID names bytes, so whoever
// counts the file finds the same number, and sets the same register to the same value. So it does
// no harm that two nodes count one file, nor that one counts it again because it does not know
// whether it has finished; and what a node leaves half done when it dies, another that holds the
// file completes.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/replica"
	"github.com/p2pnode/p2pnode/node"
	"github.com/p2pnode/p2pnode/unixfs"
)

func main() {
	if _, err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// texts are the files that Ann, Bob and Cem have.
var texts = []string{
	"The sea is full of fish, and the fish are full of the sea.",
	"A net is full of holes, and still it holds the fish.",
	"Every boat has an anchor, a captain and a cook; the cook has the fish.",
}

// result is what run has seen.
type result struct {
	half, byAnn, byBob Total
}

// run tells the story.
func run(ctx context.Context, out io.Writer) (r result, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var people []*person
	defer func() {
		for _, p := range people {
			err = errors.Join(err, p.node.Close())
		}
	}()
	for i := range texts {
		p, err := enter(ctx, people)
		if err != nil {
			return r, err
		}
		people = append(people, p)
		if p.file, err = p.node.Add(ctx, strings.NewReader(texts[i]), node.AddOptions{}); err != nil {
			return r, err
		}
	}
	ann, bob, cem := people[0], people[1], people[2]
	if err := bob.node.Connect(ctx, cem.node.Addrs()[0]); err != nil {
		return r, err
	}
	if _, err := bob.node.Pin(ctx, unixfs.Path{Root: cem.file.Cid}, "", nil); err != nil {
		return r, err
	}
	fmt.Fprintln(out, "Ann, Bob and Cem have a file each. Bob has a copy of Cem's, too.")

	err = Map(ctx, cem.node, dying{cem, bob})
	if !errors.Is(err, replica.ErrClosed) {
		return r, fmt.Errorf("count on a node that dies: %v, want %w", err, replica.ErrClosed)
	}
	if err := Map(ctx, ann.node, ann.doc); err != nil {
		return r, err
	}
	if r.half, err = await(ctx, bob.doc, func(t Total) bool { return t.Files == 1 && t.Begun == 2 }); err != nil {
		return r, err
	}
	fmt.Fprintf(out, "Ann counts hers. Cem's node dies while it counts. Bob sees: %v\n", r.half)

	if err := errors.Join(Map(ctx, ann.node, ann.doc), Map(ctx, bob.node, bob.doc)); err != nil {
		return r, err
	}
	all := func(t Total) bool { return t.Files == len(texts) }
	if r.byAnn, err = await(ctx, ann.doc, all); err != nil {
		return r, err
	}
	if r.byBob, err = await(ctx, bob.doc, all); err != nil {
		return r, err
	}
	fmt.Fprintln(out, "Ann counts hers once more, and Bob counts what he has.")
	fmt.Fprintf(out, "Ann sees: %v\nBob sees: %v\n", r.byAnn, r.byBob)
	return r, nil
}

// String tells how far the count is, and which words come most often.
func (t Total) String() string {
	words := slices.SortedFunc(maps.Keys(t.Words), func(a, b string) int {
		return cmp.Or(cmp.Compare(t.Words[b], t.Words[a]), cmp.Compare(a, b))
	})
	text := fmt.Sprintf("%d of %d files counted,", t.Files, t.Begun)
	for _, w := range words[:min(len(words), 5)] {
		text += fmt.Sprintf(" %s %d", w, t.Words[w])
	}
	return text
}

// await waits until a total is as it should be.
func await(ctx context.Context, doc *replica.Doc, ok func(Total) bool) (Total, error) {
	for _, err := range doc.Watch(ctx) {
		if err != nil {
			return Total{}, err
		}
		if t, err := Reduce(ctx, doc); err != nil || ok(t) {
			return t, err
		}
	}
	return Total{}, ctx.Err()
}

// person is somebody with a node, a file and a copy of the counts.
type person struct {
	node *node.Node
	doc  *replica.Doc
	file unixfs.Link
}

// enter starts a node. The first one makes the document, and gives the others tickets.
func enter(ctx context.Context, others []*person) (*person, error) {
	n, err := node.Open(ctx, node.Options{Network: "wordcount", Listen: []string{"/ip4/127.0.0.1/tcp/0"}, NoMDNS: true})
	if err != nil {
		return nil, err
	}
	p := &person{node: n}
	docs, err := n.Docs()
	if err == nil && len(others) == 0 {
		p.doc, err = docs.Create(ctx, "counts")
	} else if err == nil {
		var ticket replica.Ticket
		if ticket, err = others[0].doc.Share(ctx, commit.Write); err == nil {
			p.doc, err = docs.Join(ctx, ticket, "counts")
		}
	}
	if err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return p, nil
}

// dying is a table of somebody whose node dies when a witness has seen the first of his counts.
type dying struct{ who, witness *person }

func (d dying) Update(ctx context.Context, f func(*crdt.Tx) error) (commit.ID, error) {
	t, err := Reduce(ctx, d.who.doc)
	if err == nil && t.Begun > 0 {
		_, err = await(ctx, d.witness.doc, func(t Total) bool { return t.Begun > 0 })
		err = errors.Join(err, d.who.node.Close())
	}
	if err != nil {
		return commit.ID{}, err
	}
	return d.who.doc.Update(ctx, f)
}
