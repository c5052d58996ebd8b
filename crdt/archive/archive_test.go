package archive_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"

	"github.com/ipld/go-car/v2"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/archive"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

// shelf is blocks in memory.
type shelf map[commit.ID]block.Block

func (s shelf) Block(id commit.ID) (block.Block, error) {
	b, ok := s[id]
	if !ok {
		return b, fmt.Errorf("get %s: %w", id, block.ErrNotFound)
	}
	return b, nil
}

func (s shelf) keep(blocks ...block.Block) {
	for _, b := range blocks {
		id, _ := commit.IDOf(b.Cid())
		s[id] = b
	}
}

func key(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

// sample is a document with two heads, and a history.
func sample(t testing.TB) (*crdt.Doc, shelf) {
	t.Helper()
	blocks := make(shelf)
	members := map[commit.Author]commit.Role{commit.AuthorOf(key(2)): commit.Write}
	first, head, err := crdt.Create(key(1), crdt.Genesis{Members: members})
	if err != nil {
		t.Fatal(err)
	}
	var docs []*crdt.Doc
	for n := range byte(2) {
		d := crdt.New(head.ID, commit.AuthorOf(key(n+1)), blocks)
		if _, err := d.Apply([]block.Block{first}, []crdt.Head{head}); err != nil {
			t.Fatal(err)
		}
		docs = append(docs, d)
	}
	blocks.keep(first)
	for i := range 40 {
		for n, d := range docs {
			if err := d.Update(func(tx *crdt.Tx) error { tx.Text("t").Insert(i, fmt.Sprint(i)); return nil }); err != nil {
				t.Fatal(err)
			}
			b, head, err := d.Seal(key(byte(n+1)), 0)
			if err != nil {
				t.Fatal(err)
			}
			blocks.keep(b)
			if i%10 == 0 || n == 1 && i == 39 {
				if _, err := docs[1-n].Apply(all(t, d, blocks), []crdt.Head{head}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return docs[0], blocks
}

func all(t testing.TB, d *crdt.Doc, blocks shelf) []block.Block {
	t.Helper()
	var list []block.Block
	for e, err := range d.Commits() {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, blocks[e.ID])
	}
	return list
}

func written(t testing.TB, d *crdt.Doc, blocks shelf) []byte {
	t.Helper()
	var file bytes.Buffer
	if err := archive.Write(&file, d, blocks); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// open makes a replica of what is in a file.
func open(file []byte) (*crdt.Doc, error) {
	a, err := archive.Read(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	d := crdt.New(a.Doc, commit.AuthorOf(key(9)), nil)
	report, err := a.Import(d)
	if err == nil && len(report.Applied) != len(a.Blocks) {
		err = fmt.Errorf("%d of %d blocks applied", len(report.Applied), len(a.Blocks))
	}
	return d, err
}

func TestRoundTrip(t *testing.T) {
	d, blocks := sample(t)
	file := written(t, d, blocks)
	again, err := open(file)
	if err != nil {
		t.Fatal(err)
	}
	if heads, _ := d.Heads(); !bytes.Equal(again.Dump(), d.Dump()) || len(heads) != 2 {
		t.Errorf("another document, of %d heads", len(heads))
	}
	r, err := car.NewBlockReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; ; n++ {
		if _, err := r.Next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("go-car: block %d: %v", n, err)
		}
	}
	if len(r.Roots) != 1 || r.Version != 1 || n != d.Len()+1 {
		t.Errorf("go-car: version %d, roots %v, %d blocks", r.Version, r.Roots, n)
	}
}

func TestWriteFails(t *testing.T) {
	d, blocks := sample(t)
	if err := archive.Write(io.Discard, d, shelf{}); !errors.Is(err, block.ErrNotFound) {
		t.Errorf("without blocks: got %v", err)
	}
	broken := errors.New("broken")
	r, w := io.Pipe()
	r.CloseWithError(broken)
	if err := archive.Write(w, d, blocks); !errors.Is(err, broken) {
		t.Errorf("into a broken pipe: got %v", err)
	}
	if err := d.Update(func(tx *crdt.Tx) error { tx.Set("k", 1); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := archive.Write(io.Discard, d, blocks); !errors.Is(err, crdt.ErrOpen) {
		t.Errorf("with open edits: got %v", err)
	}
}

// Whatever happens to a file, the document is not another one.
func TestImportRejects(t *testing.T) {
	d, blocks := sample(t)
	good := written(t, d, blocks)
	for i := 0; i < len(good); i += 7 {
		bad := bytes.Clone(good)
		bad[i] ^= 1 << (i % 8)
		if _, err := open(bad); err == nil {
			t.Fatalf("byte %d of %d is another, and nobody minds", i, len(good))
		}
		if _, err := open(good[:i]); err == nil {
			t.Fatalf("%d bytes of %d are enough", i, len(good))
		}
	}
	a, err := archive.Read(bytes.NewReader(good))
	if err != nil {
		t.Fatal(err)
	}
	a.Heads[0].Signature = a.Heads[1].Signature
	if _, err := a.Import(crdt.New(a.Doc, commit.Author{}, nil)); !errors.Is(err, archive.ErrIncomplete) {
		t.Errorf("with a wrong signature: got %v", err)
	}
	if _, err := a.Import(crdt.New(commit.ID{1}, commit.Author{}, nil)); !errors.Is(err, archive.ErrMalformed) {
		t.Errorf("into another document: got %v", err)
	}
	long := append(bytes.Clone(good), 0xff, 0xff, 0xff, 0x7f)
	if _, err := archive.Read(bytes.NewReader(long)); !errors.Is(err, archive.ErrMalformed) {
		t.Errorf("a section beyond the limit: got %v", err)
	}
	broken := errors.New("broken")
	if _, err := archive.Read(io.MultiReader(bytes.NewReader(good[:1000]), failing{broken})); !errors.Is(err, broken) {
		t.Errorf("from a broken disk: got %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func FuzzRead(f *testing.F) {
	d, blocks := sample(f)
	good := written(f, d, blocks)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Fuzz(func(t *testing.T, data []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		a, err := archive.Read(bytes.NewReader(data))
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<16+64*uint64(len(data)) {
			t.Fatalf("%d bytes allocated for %d", n, len(data))
		}
		if err != nil {
			return
		}
		for _, b := range a.Blocks {
			if _, err := block.Verify(b.Cid(), b.RawData()); err != nil {
				t.Fatal(err)
			}
		}
	})
}
