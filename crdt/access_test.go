package crdt_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

func author(n byte) commit.Author { return commit.AuthorOf(key(n)) }

func TestRoles(t *testing.T) {
	r := group(t, 3)
	err := r[1].Update(func(tx *crdt.Tx) error { tx.Grant(author(9), commit.Write); return nil })
	if !errors.Is(err, crdt.ErrRole) {
		t.Errorf("a writer grants: got %v", err)
	}
	r[0].edit(func(tx *crdt.Tx) { tx.Grant(author(9), commit.Write); tx.Grant(author(2), commit.Read) })
	sync(t, r...)
	err = r[1].Update(func(tx *crdt.Tx) error { tx.Set("k", 1); return nil })
	if !errors.Is(err, crdt.ErrRole) {
		t.Errorf("a reader writes: got %v", err)
	}
	late := join(t, key(9), r[0].ID())
	late.pull(r[0])
	late.edit(func(tx *crdt.Tx) { tx.Set("k", 1) })
	sync(t, append(r, late)...)
	want(t, r[2], `{"k":1}`)
}

// What somebody committed who was removed at the same time has no effect, but keeps its
// place: others wrote after it. What was seen before stays.
func TestRemovedWriter(t *testing.T) {
	r := group(t, 3)
	r[1].edit(func(tx *crdt.Tx) { tx.Text("t").Insert(0, "seen"); tx.Set("k", "seen"); tx.Counter("n").Add(1) })
	sync(t, r...)
	r[0].edit(func(tx *crdt.Tx) { tx.Grant(author(2), commit.None) })
	r[1].edit(func(tx *crdt.Tx) {
		tx.Text("t").Insert(4, " unseen")
		tx.Text("t").Delete(0, 1)
		tx.Set("k", "unseen")
		tx.Counter("n").Add(10)
		tx.Members("s").Add("unseen")
	})
	r[2].pull(r[1])
	want(t, r[2], `{"k":"unseen","n":11,"s":["unseen"],"t":"een unseen"}`)
	r[2].edit(func(tx *crdt.Tx) { tx.Text("t").Insert(10, "!"); tx.Counter("n").Add(100); tx.Remove("s") })
	report := r[2].pull(r[0])
	if len(report.Void) != 1 {
		t.Errorf("%d commits became void, want 1", len(report.Void))
	}
	sync(t, r...)
	want(t, r[2], `{"k":"seen","n":101,"t":"seen!"}`)
	if err := r[1].Update(func(tx *crdt.Tx) error { tx.Set("k", 1); return nil }); !errors.Is(err, crdt.ErrRole) {
		t.Errorf("the removed one writes: got %v", err)
	}
	r[0].edit(func(tx *crdt.Tx) { tx.Grant(author(2), commit.Write); tx.Text("t").Insert(5, "?") })
	sync(t, r...)
	r[1].edit(func(tx *crdt.Tx) { tx.Text("t").Insert(6, "!") })
	sync(t, r...)
	want(t, r[0], `{"k":"seen","n":101,"t":"seen!?!"}`)
}

// Two managers who remove each other are both removed, and what they granted meanwhile is void.
func TestMutualRemoval(t *testing.T) {
	r := group(t, 3)
	r[0].edit(func(tx *crdt.Tx) { tx.Grant(author(2), commit.Manage) })
	sync(t, r...)
	r[0].edit(func(tx *crdt.Tx) { tx.Grant(author(2), commit.None); tx.Grant(author(8), commit.Write) })
	r[1].edit(func(tx *crdt.Tx) { tx.Grant(author(1), commit.None) })
	sync(t, r...)
	for i, role := range []commit.Role{commit.None, commit.None, commit.Write} {
		if got := r[2].Role(author(byte(i + 1))); got != role {
			t.Errorf("role of %d: got %d, want %d", i+1, got, role)
		}
	}
	if got := r[2].Role(author(8)); got != commit.None {
		t.Errorf("a void grant gives role %d", got)
	}
}

// forge makes a commit outside of any Doc.
func forge(t testing.TB, doc commit.ID, k ed25519.PrivateKey, c commit.Commit) (block.Block, crdt.Head) {
	t.Helper()
	c.Author = commit.AuthorOf(k)
	if c.Ops == nil {
		c.Ops = []byte{0}
	}
	b, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	id, _ := commit.IDOf(b.Cid())
	return b, crdt.Head{ID: id, Signature: commit.Sign(k, doc, id)}
}

func TestApplyRejects(t *testing.T) {
	r := group(t, 2)
	root := r[0].ID()
	by1 := r[0].edit(func(tx *crdt.Tx) { tx.Set("k", 1) })
	r[1].pull(r[0])
	unsigned := []commit.Parent{{ID: by1.ID}}
	signed := []commit.Parent{{ID: by1.ID, Signature: by1.Signature}}
	wrong := []commit.Parent{{ID: by1.ID, Signature: commit.Sign(key(7), root, by1.ID)}}
	for name, c := range map[string]struct {
		key    ed25519.PrivateKey
		commit commit.Commit
		want   error
	}{
		"gen too large":             {key(2), commit.Commit{Gen: 1 << 30, Parents: signed}, crdt.ErrInvalid},
		"gen too small":             {key(2), commit.Commit{Gen: 2, Parents: signed}, crdt.ErrInvalid},
		"no signature of a parent":  {key(2), commit.Commit{Gen: 3, Parents: unsigned}, crdt.ErrInvalid},
		"a wrong one":               {key(2), commit.Commit{Gen: 3, Parents: wrong}, crdt.ErrInvalid},
		"one of the author's own":   {key(1), commit.Commit{Gen: 3, Parents: signed}, crdt.ErrInvalid},
		"by a stranger":             {key(7), commit.Commit{Gen: 3, Parents: signed}, crdt.ErrRole},
		"refs where none should be": {key(2), commit.Commit{Gen: 3, Parents: signed, Refs: []commit.ID{root}}, crdt.ErrInvalid},
		"operations that are none":  {key(2), commit.Commit{Gen: 3, Parents: signed, Ops: []byte{9}}, crdt.ErrInvalid},
		"another first commit":      {key(1), commit.Commit{Gen: 1, Ops: make([]byte, 17)}, crdt.ErrInvalid},
	} {
		b, head := forge(t, root, c.key, c.commit)
		report := r[1].receive([]block.Block{b}, head)
		if len(report.Applied) != 0 || len(report.Rejected) != 1 || !errors.Is(report.Rejected[0].Err, c.want) {
			t.Errorf("%s: got %+v, want %v", name, report, c.want)
		}
	}
	b, head := forge(t, root, key(2), commit.Commit{Gen: 3, Parents: signed})
	head.Signature = commit.Sign(key(1), root, head.ID)
	if report := r[1].receive([]block.Block{b}, head); len(report.Applied) != 0 || len(report.Rejected) != 1 {
		t.Errorf("a head signed by somebody else: %+v", report)
	}
	want(t, r[1], `{"k":1}`)
}

// A commit that is vouched for by an invalid one alone is not kept: nobody could prove to
// others that it is authentic.
func TestVouchedByInvalid(t *testing.T) {
	r := group(t, 2)
	good := r[1].edit(func(tx *crdt.Tx) { tx.Set("k", "good") })
	bad, head := forge(t, r[0].ID(), key(2), commit.Commit{Gen: 7, Parents: []commit.Parent{{ID: good.ID}}})
	before := r[0].Dump()
	report := r[0].receive([]block.Block{bad, r[1].blocks[good.ID]}, head)
	if len(report.Applied) != 0 || len(report.Rejected) != 1 || !bytes.Equal(r[0].Dump(), before) {
		t.Fatalf("got %+v", report)
	}
	for _, h := range r[0].heads() {
		if h.Signature == nil {
			t.Errorf("no signature of head %s", h.ID)
		}
	}
	r[0].edit(func(tx *crdt.Tx) { tx.Set("k2", 2) })
	sync(t, r...)
	want(t, r[0], `{"k":"good","k2":2}`)
}

// It waits again, and so does what follows it and waited already, until a signature comes.
func TestVouchedByInvalidBeforeOthers(t *testing.T) {
	r := group(t, 2)
	first := r[1].edit(func(tx *crdt.Tx) { tx.Set("k", "first") })
	second := r[1].edit(func(tx *crdt.Tx) { tx.Set("k", "second") })
	bad, head := forge(t, r[0].ID(), key(2), commit.Commit{Gen: 7, Parents: []commit.Parent{{ID: first.ID}}})
	r[0].receive([]block.Block{r[1].blocks[first.ID], r[1].blocks[second.ID]})
	if report := r[0].receive([]block.Block{bad}, head); len(report.Applied) != 0 || len(report.Rejected) != 1 {
		t.Fatalf("got %+v", report)
	}
	if report := r[0].receive(nil, second); len(report.Applied) != 2 {
		t.Errorf("%d commits are applied of those that are signed now", len(report.Applied))
	}
	want(t, r[0], `{"k":"second"}`)
}

// An author who has two histories is told of, and does no harm.
func TestFork(t *testing.T) {
	r := group(t, 2)
	twin := join(t, key(2), r[0].ID())
	twin.pull(r[0])
	a := r[1].edit(func(tx *crdt.Tx) { tx.Text("t").Insert(0, "one") })
	b := twin.edit(func(tx *crdt.Tx) { tx.Text("t").Insert(0, "two") })
	r[0].pull(r[1])
	report := r[0].pull(twin)
	if len(report.Forks) != 1 || report.Forks[0] != (crdt.Fork{Author: author(2), ID1: a.ID, ID2: b.ID}) {
		t.Errorf("forks: %+v", report.Forks)
	}
	sync(t, append(r, twin)...)
}

// What a commit costs does not depend on what else waits.
func BenchmarkApplyBesideWaiting(b *testing.B) {
	for _, n := range []int{0, 20_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := group(b, 2)
			var junk []block.Block
			var parent commit.ID
			for i := range n {
				c := commit.Commit{Gen: uint64(i) + 7, Parents: []commit.Parent{{ID: parent}}}
				block, head := forge(b, r[0].ID(), key(7), c)
				junk, parent = append(junk, block), head.ID
			}
			r[0].receive(junk)
			for b.Loop() {
				b.StopTimer()
				head := r[1].edit(func(tx *crdt.Tx) { tx.Counter("n").Add(1) })
				b.StartTimer()
				r[0].receive([]block.Block{r[1].blocks[head.ID]}, head)
			}
		})
	}
}

// A commit that waits is applied once all it follows is there, in whatever way that comes.
func TestWaitingForOwnCommit(t *testing.T) {
	r := group(t, 2)
	twin := join(t, key(1), r[0].ID()) // of the first, with an older state
	twin.pull(r[0])
	edit := func(tx *crdt.Tx) { tx.Set("k", 1) }
	first := r[0].edit(edit)
	r[1].pull(r[0])
	second := r[1].edit(func(tx *crdt.Tx) { tx.Set("k", 2) })
	if report := twin.receive([]block.Block{r[1].blocks[second.ID]}, second); len(report.Missing) != 1 {
		t.Fatalf("missing %v", report.Missing)
	}
	if again := twin.edit(edit); again.ID != first.ID {
		t.Fatalf("the same edit made %s and %s", first.ID, again.ID)
	}
	if report := twin.receive(nil); len(report.Applied) != 1 || len(report.Missing) != 0 {
		t.Errorf("applied %d, missing %v", len(report.Applied), report.Missing)
	}
	want(t, twin, `{"k":2}`)
}

// Whoever may not write cannot fill what waits for good.
func TestWaitingIsBounded(t *testing.T) {
	r := group(t, 2)
	ops := make([]byte, 200<<10)
	for i := range 500 {
		b, head := forge(t, r[0].ID(), key(7), commit.Commit{Gen: 2, Wall: uint64(i), Parents: []commit.Parent{{ID: commit.ID{byte(i), byte(i >> 8)}}}, Ops: ops})
		report := r[0].receive([]block.Block{b}, head)
		if n := len(report.Missing) * len(ops); n > crdt.WaitingMax {
			t.Fatalf("%d bytes wait", n)
		}
	}
	r[1].edit(func(tx *crdt.Tx) { tx.Set("k", 1) })
	r[0].pull(r[1])
	want(t, r[0], `{"k":1}`)
}

// A report names a bounded number of missing commits, and room for what has waited is given back.
func TestWaitingShrinks(t *testing.T) {
	r := group(t, 1)[0]
	var junk []block.Block
	bad, _ := forge(t, r.ID(), key(7), commit.Commit{Gen: 2, Parents: []commit.Parent{{ID: r.ID()}}, Ops: []byte{1}})
	badID, _ := commit.IDOf(bad.Cid())
	for i := range 3 * crdt.MissingMax {
		parents := []commit.Parent{{ID: badID}, {ID: commit.ID{byte(i), byte(i >> 8), 1}}}
		slices.SortFunc(parents, func(a, b commit.Parent) int { return a.ID.Compare(b.ID) })
		b, _ := forge(t, r.ID(), key(7), commit.Commit{Gen: 3, Parents: parents})
		junk = append(junk, b)
	}
	report := r.receive(junk)
	if len(report.Missing) != crdt.MissingMax || !slices.IsSortedFunc(report.Missing, commit.ID.Compare) {
		t.Errorf("%d commits are named", len(report.Missing))
	}
	_, room := r.Room()
	_, head := forge(t, r.ID(), key(7), commit.Commit{Gen: 2, Parents: []commit.Parent{{ID: r.ID()}}, Ops: []byte{1}})
	report = r.receive([]block.Block{bad}, head)
	if waits, left := r.Room(); waits != 0 || left >= room || len(report.Rejected) != 1+len(junk) {
		t.Errorf("%d wait, in room for %d; it was %d", waits, left, room)
	}
	if report = r.receive(nil); len(report.Missing) != 0 {
		t.Errorf("missing %v", report.Missing)
	}
}

// BenchmarkUnproven is a long chain of commits for which only one vouches that turns out to be
// invalid.
func BenchmarkUnproven(b *testing.B) {
	for _, n := range []int{500, 4000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := group(b, 2)
			var head crdt.Head
			for range n {
				head = r[0].edit(func(tx *crdt.Tx) { tx.Counter("n").Add(1) })
			}
			bad, badHead := forge(b, r[0].ID(), key(1), commit.Commit{Gen: 1 << 20, Parents: []commit.Parent{{ID: head.ID}}})
			list := []block.Block{bad}
			list = append(list, r[0].order[len(r[0].order)-n:]...)
			for b.Loop() {
				late := join(b, key(9), r[0].ID())
				late.pull(r[1])
				if report := late.receive(list, badHead); len(report.Applied) != 0 || len(report.Rejected) != 1 {
					b.Fatalf("%d applied, %d rejected", len(report.Applied), len(report.Rejected))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/commit")
		})
	}
}

// TestManySignatures: of many commits by two who took turns, which come at once, those are rejected that
// have a wrong signature of what they follow, and no others; as if they had come one by one.
func TestManySignatures(t *testing.T) {
	r := group(t, 2)
	heads := r[0].heads()
	for i := range 40 {
		heads = append(heads, r[i%2].edit(func(tx *crdt.Tx) { tx.Text("t").Insert(0, "typed in turns ") }))
		r[1-i%2].pull(r[i%2])
	}
	blocks := slices.Clone(r[0].order)
	bad := make(map[commit.ID]bool)
	for _, at := range []int{3, 20, 40} {
		c, _, err := commit.Decode(blocks[at])
		if err != nil {
			t.Fatal(err)
		}
		c.Parents[0].Signature = heads[at].Signature // of another commit, by somebody else
		b, head := forge(t, r[0].ID(), r[1-at%2].key, *c)
		bad[head.ID] = true
		blocks, heads = append(blocks, b), append(heads, head)
	}
	check := func(name string, got *replica, rejected []crdt.Rejection) {
		for _, x := range rejected {
			if !bad[x.ID] || !errors.Is(x.Err, crdt.ErrInvalid) {
				t.Errorf("%s: rejected %s: %v", name, x.ID, x.Err)
			}
		}
		if len(rejected) != len(bad) || !bytes.Equal(got.Dump(), r[0].Dump()) {
			t.Errorf("%s: %d commits were rejected, want %d; %d were applied", name, len(rejected), len(bad), got.Len())
		}
	}
	once := join(t, key(9), r[0].ID())
	check("at once", once, once.receive(blocks, heads...).Rejected)
	singly := join(t, key(9), r[0].ID())
	var rejected []crdt.Rejection
	for i, b := range blocks {
		rejected = append(rejected, singly.receive([]block.Block{b}, heads[i]).Rejected...)
	}
	check("one by one", singly, rejected)
}
