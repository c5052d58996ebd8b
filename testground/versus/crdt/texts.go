package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-datastore/query"
	badgerds "github.com/ipfs/go-ds-badger4"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
	"github.com/p2pnode/p2pnode/crdt/replica"
	"github.com/p2pnode/p2pnode/crdt/wire"
	"github.com/p2pnode/p2pnode/node"
)

const (
	// commitEdits is how many edits a saved commit has: what somebody types in about 20 s.
	commitEdits = 100
	// window is for how long edits wait for others, when each is acknowledged from disk.
	window = 10 * time.Millisecond
	// inFlightMax is how many edits may wait to be acknowledged. They fit into one commit.
	inFlightMax = 8192
	docName     = "notes"
)

// work is a trace, and where its saved forms are.
type work struct {
	tr   *trace
	dir  string
	file string // beginning of the names
}

func keyOf(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

// nothing finds no blocks: they are needed only for what these tasks do not do.
type nothing struct{}

func (nothing) Block(id commit.ID) (block.Block, error) {
	return block.Block{}, &block.NotFoundError{Cid: id.Cid()}
}

// writer is somebody with a document in memory, and all commits that they made.
type writer struct {
	*crdt.Doc
	key  ed25519.PrivateKey
	made []block.Block
}

// newWriters makes a document, and a replica for each of several writers.
func newWriters(n int) ([]*writer, block.Block, error) {
	genesis := crdt.Genesis{Members: make(map[commit.Author]commit.Role)}
	for i := range n {
		genesis.Members[commit.AuthorOf(keyOf(byte(i+1)))] = commit.Write
	}
	first, head, err := crdt.Create(keyOf(1), genesis)
	if err != nil {
		return nil, first, err
	}
	var list []*writer
	for i := range n {
		k := keyOf(byte(i + 1))
		w := &writer{Doc: crdt.New(head.ID, commit.AuthorOf(k), nothing{}), key: k}
		if _, err := w.Apply([]block.Block{first}, []crdt.Head{head}); err != nil {
			return nil, first, err
		}
		list = append(list, w)
	}
	return list, first, nil
}

func (w *writer) seal() (crdt.Head, error) {
	b, head, err := w.Seal(w.key, 0)
	if err == nil && b.Size() > 0 {
		w.made = append(w.made, b)
	}
	return head, err
}

// typeIn makes each transaction an Update, and a commit of every so many, or of as many as fit.
func (w *writer) typeIn(tr *trace, every int) error {
	for i, t := range tr.Txns {
		err := w.Update(t.edit)
		if errors.Is(err, crdt.ErrFull) {
			if _, err = w.seal(); err == nil {
				err = w.Update(t.edit)
			}
		}
		if err == nil && every > 0 && i%every == every-1 {
			_, err = w.seal()
		}
		if err != nil {
			return err
		}
	}
	_, err := w.seal()
	return err
}

func (w *writer) text() (string, error) { return textOf(w.Get(textKey)) }

// apply types in memory: commits are as large as they can be.
func (w work) apply(context.Context) (result, error) {
	return timed(func() (time.Duration, string, error) {
		start := time.Now()
		list, _, err := newWriters(1)
		if err == nil {
			err = list[0].typeIn(w.tr, 0)
		}
		if err != nil {
			return 0, "", err
		}
		text, err := list[0].text()
		return time.Since(start), text, err
	})
}

// persist types into a document of a node, without waiting for one edit to be on disk before
// the next one; the time ends when all are.
func (w work) persist(ctx context.Context) (result, error) {
	return timed(func() (took time.Duration, text string, err error) {
		repo, err := os.MkdirTemp(w.dir, "persist")
		if err != nil {
			return 0, "", err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(repo)) }()
		err = withDocs(ctx, repo, func(docs *replica.Replica) error {
			start := time.Now()
			d, err := docs.Create(ctx, docName)
			if err == nil {
				err = typeAhead(ctx, d, w.tr)
			}
			if err == nil {
				text, err = textIn(ctx, d)
			}
			took = time.Since(start)
			return err
		})
		return took, text, err
	})
}

// withDocs opens the documents of a node that has no network.
func withDocs(ctx context.Context, repo string, f func(*replica.Replica) error) (err error) {
	n, err := node.Open(ctx, node.Options{Repo: repo, Offline: true, DocWindow: window})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	docs, err := n.Docs()
	if err != nil {
		return err
	}
	return f(docs)
}

func textIn(ctx context.Context, d *replica.Doc) (string, error) {
	v, ok, err := d.Get(ctx, textKey)
	if err != nil {
		return "", err
	}
	return textOf(v, ok)
}

// typeAhead makes each transaction an Update, in order, while those before wait for the disk.
func typeAhead(ctx context.Context, d *replica.Doc, tr *trace) error {
	slots := make(chan struct{}, inFlightMax)
	errs := make([]error, len(tr.Txns))
	type job struct {
		txn  int
		made chan struct{} // closed once the edit is made
	}
	idle := make(chan job)
	do := func(j job) {
		tries := 0
		_, errs[j.txn] = d.Update(ctx, func(tx *crdt.Tx) error {
			if tries++; tries > 1 { // inFlightMax is too large
				return fmt.Errorf("commit full, and later edits may have been made: %w", errWrong)
			}
			close(j.made)
			return tr.Txns[j.txn].edit(tx)
		})
		if tries == 0 {
			close(j.made)
		}
		<-slots
	}
	var tasks sync.WaitGroup
	for i := range tr.Txns {
		slots <- struct{}{}
		j := job{i, make(chan struct{})}
		select {
		case idle <- j: // whose stack has grown already
		default:
			tasks.Go(func() {
				do(j)
				for j := range idle {
					do(j)
				}
			})
		}
		<-j.made
	}
	close(idle)
	tasks.Wait()
	return errors.Join(errs...)
}

// save writes the trace as a document of a node, of commits of commitEdits; and as a bundle.
func (w work) save(ctx context.Context) (result, error) {
	if w.tr.NumAgents > 0 {
		return w.saveConcurrent()
	}
	r, err := w.saveBundle(commitEdits, w.file+".bundle")
	if err != nil {
		return r, err
	}
	fine, err := w.saveBundle(1, w.file+".fine")
	if err != nil {
		return r, err
	}
	r.Fine = fine.Bytes
	err = withDocs(ctx, w.file, func(docs *replica.Replica) error {
		d, err := docs.Create(ctx, docName)
		if err != nil {
			return err
		}
		for txns := range slices.Chunk(w.tr.Txns, commitEdits) {
			_, err := d.Update(ctx, func(tx *crdt.Tx) error {
				for _, t := range txns {
					if err := t.edit(tx); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		text, err := textIn(ctx, d)
		if err == nil && hashOf(text) != r.Text {
			err = fmt.Errorf("the node has another text: %w", errWrong)
		}
		return err
	})
	if err == nil {
		r.Disk, err = sizeOnDisk(ctx, filepath.Join(w.file, "state"))
	}
	return r, err
}

// saveBundle writes the trace as a bundle, which is what a peer sends, and reads it back.
func (w work) saveBundle(every int, file string) (r result, err error) {
	list, first, err := newWriters(1)
	if err == nil {
		err = list[0].typeIn(w.tr, every)
	}
	if err != nil {
		return r, err
	}
	heads, err := list[0].Heads()
	if err != nil {
		return r, err
	}
	return saveBlocks(file, append([]block.Block{first}, list[0].made...), heads)
}

func saveBlocks(file string, blocks []block.Block, heads []crdt.Head) (r result, err error) {
	var buf bytes.Buffer
	bundle := wire.NewBundleWriter(&buf)
	err = bundle.Heads(heads)
	for _, b := range blocks {
		err = errors.Join(err, bundle.Block(b))
	}
	if err = errors.Join(err, bundle.Close()); err != nil {
		return r, err
	}
	d, err := unbundle(buf.Bytes())
	if err != nil {
		return r, err
	}
	text, err := d.text()
	if err != nil {
		return r, err
	}
	return result{Bytes: int64(buf.Len()), Text: hashOf(text)}, os.WriteFile(file, buf.Bytes(), 0o644)
}

// unbundle applies a bundle to an empty document, all at once.
func unbundle(data []byte) (*writer, error) {
	r := wire.NewBundleReader(bytes.NewReader(data))
	defer r.Close()
	var d *writer
	for {
		section, err := r.Next()
		if errors.Is(err, io.EOF) && d != nil {
			return d, nil
		}
		if err != nil {
			return nil, err
		}
		if d == nil {
			id, _ := commit.IDOf(section.Blocks[0].Cid()) // the first one names the document
			d = &writer{Doc: crdt.New(id, commit.AuthorOf(keyOf(9)), nothing{}), key: keyOf(9)}
		}
		report, err := d.Apply(section.Blocks, section.Heads)
		if err == nil && len(report.Applied) != len(section.Blocks) {
			err = fmt.Errorf("%d of %d commits applied: %w", len(report.Applied), len(section.Blocks), errWrong)
		}
		if err != nil {
			return nil, err
		}
	}
}

// sizeOnDisk is how many bytes of keys and values a database has about documents.
func sizeOnDisk(ctx context.Context, dir string) (size int64, err error) {
	db, err := badgerds.NewDatastore(dir, badgerOptions(true))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	list, err := db.Query(ctx, query.Query{Prefix: "/crdt"})
	if err != nil {
		return 0, err
	}
	for e := range list.Next() {
		if e.Error != nil {
			return 0, errors.Join(e.Error, list.Close())
		}
		size += int64(len(e.Key) + len(e.Value))
	}
	return size, list.Close()
}

// load opens the document of a node that has just been opened.
func (w work) load(ctx context.Context) (result, error) {
	return timed(func() (took time.Duration, text string, err error) {
		err = withDocs(ctx, w.file, func(docs *replica.Replica) error {
			start := time.Now()
			d, err := docs.Open(ctx, docName)
			if err == nil {
				text, err = textIn(ctx, d)
			}
			took = time.Since(start)
			return err
		})
		return took, text, err
	})
}

// history applies all of it to an empty document.
func (w work) history(context.Context) (result, error) {
	data, err := os.ReadFile(w.file + ".bundle")
	if err != nil {
		return result{}, err
	}
	return timed(func() (time.Duration, string, error) {
		start := time.Now()
		d, err := unbundle(data)
		if err != nil {
			return 0, "", err
		}
		text, err := d.text()
		return time.Since(start), text, err
	})
}

// heap is what a node's document takes that was loaded.
func (w work) heap(ctx context.Context) (r result, err error) {
	err = withDocs(ctx, w.file, func(docs *replica.Replica) error {
		before := heapInUse()
		d, err := docs.Open(ctx, docName)
		if err != nil {
			return err
		}
		text, err := textIn(ctx, d)
		if err != nil {
			return err
		}
		r.Text, text = hashOf(text), ""
		r.Heap = heapInUse() - before
		runtime.KeepAlive(d)
		return nil
	})
	return r, err
}

// alone is what a document takes that nobody keeps, once all history is applied.
func (w work) alone(context.Context) (r result, err error) {
	data, err := os.ReadFile(w.file + ".bundle")
	if err != nil {
		return r, err
	}
	before := heapInUse()
	d, err := unbundle(data)
	if err != nil {
		return r, err
	}
	text, err := d.text()
	if err != nil {
		return r, err
	}
	r.Text, text = hashOf(text), ""
	r.Heap = heapInUse() - before
	runtime.KeepAlive(d)
	runtime.KeepAlive(data)
	return r, nil
}
