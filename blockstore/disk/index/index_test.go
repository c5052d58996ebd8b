package index_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/p2pnode/p2pnode/blockstore/disk/badgerdb"
	"github.com/p2pnode/p2pnode/blockstore/disk/index"
)

func open(t *testing.T, dir string) *index.Index {
	t.Helper()
	x, err := index.Open(dir, index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func reopen(t *testing.T, x *index.Index, dir string) *index.Index {
	t.Helper()
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	x = open(t, dir)
	if found, err := x.Load(); err != nil || !found {
		t.Fatalf("state found: %v, %v", found, err)
	}
	return x
}

func closed(t *testing.T, x *index.Index) {
	t.Helper()
	if err := x.Close(); err != nil {
		t.Error(err)
	}
}

func hash(t testing.TB, i int) string {
	t.Helper()
	mh, err := multihash.Sum(fmt.Append(nil, i), multihash.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	return string(mh)
}

// place is the i-th of blocks that have 100 bytes each, ten in a segment.
func place(i int) *index.Location {
	return &index.Location{
		Segment: uint32(i/10 + 1), Offset: int64(26 + i%10*138), Header: 38, Size: 100, Version: 1, Codec: cid.Raw,
	}
}

func putAll(t *testing.T, x *index.Index, from, to int) {
	t.Helper()
	var changes []index.Change
	for i := from; i < to; i++ {
		changes = append(changes, index.Change{Multihash: hash(t, i), To: place(i)})
	}
	mark := index.Position{Segment: place(to - 1).Segment, Offset: place(to-1).Offset + 138}
	if n, err := x.Update(changes, &mark); err != nil || n != to-from {
		t.Fatalf("%d of %d are put, %v", n, to-from, err)
	}
	if got := x.State().Mark; got != mark {
		t.Fatalf("mark at %v, want %v", got, mark)
	}
}

// TestUpdate: what a change does depends on what is there.
func TestUpdate(t *testing.T) {
	a, b, c := place(1), place(2), place(3)
	mh := hash(t, 1)
	put := []index.Change{{Multihash: mh, To: a}}
	for _, test := range []struct {
		name    string
		changes []index.Change
		done    int
		want    *index.Location
	}{
		{"put", put, 1, a},
		{"put twice", append(put, index.Change{Multihash: mh, To: b}), 1, a},
		{"delete", append(put, index.Change{Multihash: mh}), 2, nil},
		{"delete what is not there", []index.Change{{Multihash: mh}}, 0, nil},
		{"delete from there", append(put, index.Change{Multihash: mh, From: a}), 2, nil},
		{"delete from elsewhere", append(put, index.Change{Multihash: mh, From: b}), 1, a},
		{"move", append(put, index.Change{Multihash: mh, From: a, To: b}), 2, b},
		{"move from elsewhere", append(put, index.Change{Multihash: mh, From: b, To: c}), 1, a},
		{"move what was deleted", append(put, index.Change{Multihash: mh}, index.Change{Multihash: mh, From: a, To: b}), 2, nil},
		{"put what was deleted", append(put, index.Change{Multihash: mh}, index.Change{Multihash: mh, To: c}), 3, c},
	} {
		t.Run(test.name, func(t *testing.T) {
			x := open(t, t.TempDir())
			defer closed(t, x)
			done, err := x.Update(test.changes, nil)
			if err != nil || done != test.done {
				t.Errorf("%d changes did something, want %d, %v", done, test.done, err)
			}
			got, found, err := x.Lookup(mh)
			held, heldErr := x.Held([]string{hash(t, 2), mh})
			if err != nil || heldErr != nil || found != held[1] || held[0] {
				t.Fatalf("found %v, held %v; %v, %v", found, held, err, heldErr)
			}
			want := index.State{}
			if test.want != nil {
				want.Blocks, want.Bytes = 1, 100
			}
			if st := x.State(); found != (test.want != nil) || found && got != *test.want || st.Blocks != want.Blocks || st.Bytes != want.Bytes {
				t.Errorf("found %v at %+v, state %+v", found, got, st)
			}
		})
	}
}

// TestReopen: state and accounts are what they were, also after many
// transactions and deletions, and a listing agrees with them.
func TestReopen(t *testing.T) {
	const count = index.ChangesMax + 500
	dir := t.TempDir()
	x := open(t, dir)
	if found, err := x.Load(); err != nil || found {
		t.Fatalf("a new index has a state: %v, %v", found, err)
	}
	putAll(t, x, 0, count)
	var changes []index.Change
	for i := range 15 {
		changes = append(changes, index.Change{Multihash: hash(t, i)})
	}
	if n, err := x.Update(changes, nil); err != nil || n != 15 {
		t.Fatalf("%d are deleted, %v", n, err)
	}
	state, accounts := x.State(), x.Accounts()
	if state.Blocks != count-15 || accounts[1] != (index.Account{}) || accounts[2] != (index.Account{Blocks: 5, Bytes: 5 * 138}) {
		t.Errorf("state %+v, accounts %+v, %+v", state, accounts[1], accounts[2])
	}
	x = reopen(t, x, dir)
	defer func() { closed(t, x) }()
	if got := x.State(); got != state || !bytes.Equal(got.Encode(), state.Encode()) || !maps.Equal(x.Accounts(), accounts) {
		t.Errorf("state %+v, want %+v", got, state)
	}
	listed := 0
	err := x.Each(func(e index.Entry) bool {
		listed++
		if l, found, err := x.Lookup(e.Multihash); err != nil || !found || l != e.Location {
			t.Errorf("%s is at %+v, %v, %v", e.Cid(), l, found, err)
		}
		if c := e.Cid(); c.Version() != 1 || c.Type() != cid.Raw || string(c.Hash()) != e.Multihash {
			t.Errorf("CID %s", c)
		}
		return true
	})
	if err != nil || listed != count-15 || x.Incomplete() {
		t.Errorf("%d are listed, %v", listed, err)
	}
	if err := x.VerifyTables(); err != nil {
		t.Error(err)
	}
	if err := x.Forget(1); err != nil {
		t.Fatal(err)
	}
	x = reopen(t, x, dir)
	if _, known := x.Account(1); known || len(x.Accounts()) != len(accounts)-1 {
		t.Error("the account of a segment that is gone is there")
	}
}

// TestIncomplete: a listing that leaves something out says so, and one that was
// stopped does not.
func TestIncomplete(t *testing.T) {
	dir := t.TempDir()
	x := open(t, dir)
	defer func() { closed(t, x) }()
	putAll(t, x, 0, 20)
	if err := x.Lose(hash(t, 3)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := x.Each(func(index.Entry) bool { return false }); err != nil || x.Incomplete() {
			t.Errorf("stopped: %v, incomplete: %v", err, x.Incomplete())
		}
		listed := 0
		err := x.Each(func(index.Entry) bool { listed++; return true })
		if !errors.Is(err, index.ErrDamaged) || listed != 19 || !x.Incomplete() {
			t.Errorf("%d are listed, %v, incomplete: %v", listed, err, x.Incomplete())
		}
		x = reopen(t, x, dir)
	}
}

// TestDamagedValues: badger does not check every value, so the index does.
func TestDamagedValues(t *testing.T) {
	dir := t.TempDir()
	x := open(t, dir)
	defer closed(t, x)
	putAll(t, x, 0, 20)
	if err := x.Damage(); err != nil {
		t.Fatal(err)
	}
	_, _, lookupErr := x.Lookup(hash(t, 1))
	_, updateErr := x.Update([]index.Change{{Multihash: hash(t, 1)}}, nil)
	_, loadErr := x.Load()
	for _, err := range []error{lookupErr, updateErr, loadErr, x.Each(func(index.Entry) bool { return true })} {
		if !errors.Is(err, index.ErrDamaged) {
			t.Errorf("got %v, want ErrDamaged", err)
		}
	}
}

// TestOpenDamaged: what a new index would cure is ErrDamaged, and other trouble
// is not.
func TestOpenDamaged(t *testing.T) {
	dir := t.TempDir()
	x := open(t, dir)
	putAll(t, x, 0, 20)
	if _, err := index.Open(dir, index.Options{}); err == nil || errors.Is(err, index.ErrDamaged) {
		t.Errorf("open twice: %v", err)
	}
	closed(t, x)
	if err := os.Remove(filepath.Join(dir, "MANIFEST")); err != nil {
		t.Fatal(err)
	}
	if _, err := index.Open(dir, index.Options{}); !errors.Is(err, index.ErrDamaged) || !errors.Is(err, badgerdb.ErrDamaged) {
		t.Errorf("without a manifest: %v", err)
	}
}

// TestNoSync: Close makes durable what updates did not.
func TestNoSync(t *testing.T) {
	dir := t.TempDir()
	x, err := index.Open(dir, index.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	putAll(t, x, 0, 20)
	x = reopen(t, x, dir)
	defer closed(t, x)
	if st := x.State(); st.Blocks != 20 {
		t.Errorf("state %+v", st)
	}
}

// FuzzCodec: no value is taken for another, and what is taken is written again
// as it was.
func FuzzCodec(f *testing.F) {
	key := []byte("b" + hash(f, 1))
	f.Add([]byte{})
	f.Add(index.AppendLocation(key, *place(1)))
	f.Add(index.AppendLocation(key, index.Location{Codec: 1 << 62})[:22])
	f.Add(index.State{Blocks: 3, Mark: index.Position{Segment: 2, Offset: 26}}.Encode())
	f.Fuzz(func(t *testing.T, value []byte) {
		if _, err := index.ParseState(value); err != nil && !errors.Is(err, index.ErrDamaged) {
			t.Error(err)
		}
		if _, err := index.ParseLocation(key, value); err != nil && !errors.Is(err, index.ErrDamaged) {
			t.Error(err)
		}
		// With the right checksum, its form decides.
		sealed := index.Seal(key, slices.Clone(value))
		l, err := index.ParseLocation(key, sealed)
		if err != nil {
			if !errors.Is(err, index.ErrDamaged) {
				t.Error(err)
			}
			return
		}
		if again, err := index.ParseLocation(key, index.AppendLocation(key, l)); err != nil || again != l {
			t.Errorf("%+v is read again as %+v, %v", l, again, err)
		}
		sealed[0] ^= 1
		if _, err := index.ParseLocation(key, sealed); !errors.Is(err, index.ErrDamaged) {
			t.Errorf("with a flipped bit: %v", err)
		}
	})
}
