package dht_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	"github.com/ipfs/go-libdht/kad/key/bitstr"
	"github.com/multiformats/go-multihash"

	"github.com/p2pnode/p2pnode/dht"
	"github.com/p2pnode/p2pnode/dht/keyspace"
)

func hashes(t testing.TB, n int) []multihash.Multihash {
	t.Helper()
	h := make([]multihash.Multihash, n)
	for i := range h {
		h[i] = cidOf(t, fmt.Sprint(i)).Hash()
	}
	return h
}

func wantSizes(t *testing.T, j dht.Journal, done, todo int) {
	t.Helper()
	if d, w := j.Sizes(); d != done || w != todo {
		t.Errorf("journal holds %d done and %d to do, want %d and %d", d, w, done, todo)
	}
}

func TestJournalKeepsCount(t *testing.T) {
	ctx := t.Context()
	store := newStore()
	j := dht.NewJournal(store)
	h := hashes(t, 10)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(j.Load(ctx))
	must(j.Add(ctx, h...))
	must(j.Add(ctx, append(h[:3:3], h[0])...)) // again, and one twice
	wantSizes(t, j, 0, 10)
	must(j.Finish(ctx, h[:4]...))
	wantSizes(t, j, 4, 6)
	must(j.Add(ctx, h[0])) // provided again
	wantSizes(t, j, 4, 7)
	must(j.Finish(ctx, h[0]))
	wantSizes(t, j, 4, 6)
	must(j.Remove(ctx, h[0], h[9], h[9]))
	wantSizes(t, j, 3, 5)
	must(j.Finish(ctx, h[9])) // removed while its record was on the way
	wantSizes(t, j, 3, 5)

	again := dht.NewJournal(store)
	must(again.Load(ctx))
	wantSizes(t, again, 3, 5)
}

// TestKeystoreFindsByPrefix compares the keystore with the definition of it.
func TestKeystoreFindsByPrefix(t *testing.T) {
	ctx := t.Context()
	j := dht.NewJournal(newStore())
	h := hashes(t, 300)
	if err := errors.Join(j.Add(ctx, h...), j.Finish(ctx, h[:250]...)); err != nil {
		t.Fatal(err)
	}
	bits := func(h multihash.Multihash) string {
		k := keyspace.Of(h)
		var b strings.Builder
		for _, x := range k {
			fmt.Fprintf(&b, "%08b", x)
		}
		return b.String()
	}
	full := bits(h[7])
	for _, n := range []int{0, 1, 3, 4, 5, 8, 9, 15, 16, 17, 20, 64, 256} {
		prefix := full[:n]
		var want []string
		for _, x := range h[:250] {
			if strings.HasPrefix(bits(x), prefix) {
				want = append(want, string(x))
			}
		}
		found, err := j.Keys().Get(ctx, bitstr.Key(prefix))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, x := range found {
			got = append(got, string(x))
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%d bits: %d hashes, want %d", n, len(got), len(want))
		}
		count, err := j.Keys().CountKeysUpTo(ctx, bitstr.Key(prefix), 3)
		if err != nil || count != min(3, len(want)) {
			t.Errorf("%d bits: counted %d, %v", n, count, err)
		}
	}
	if ok, err := j.Keys().ContainsPrefix(ctx, bitstr.Key(bits(h[299]))); ok || err != nil {
		t.Errorf("holds what was not provided yet: %v, %v", ok, err)
	}
	if _, err := j.Keys().Put(ctx, h[0]); err == nil {
		t.Error("the reprovider can write")
	}
}

// TestLargeJournalIsReadInParts counts what the store is asked for at once.
func TestLargeJournalIsReadInParts(t *testing.T) {
	ctx := t.Context()
	store := &querying{Batching: newStore()}
	j := dht.NewJournal(store)
	h := hashes(t, 20_000)
	if err := errors.Join(j.Load(ctx), j.Add(ctx, h...), j.Finish(ctx, h...)); err != nil {
		t.Fatal(err)
	}
	wantSizes(t, j, len(h), 0)
	found, err := j.Keys().Get(ctx, "")
	if err != nil || len(found) != len(h) {
		t.Errorf("found %d hashes, %v", len(found), err)
	}
	if store.most == 0 || store.most > len(h)/8 {
		t.Errorf("the store was asked for %d entries at once", store.most)
	}
	if ok, err := j.Keys().ContainsPrefix(ctx, ""); !ok || err != nil {
		t.Errorf("a full journal is empty: %v", err)
	}
}

// querying is a store that remembers its largest answer.
type querying struct {
	ds.Batching
	most int
}

func (q *querying) Query(ctx context.Context, what query.Query) (query.Results, error) {
	r, err := q.Batching.Query(ctx, what)
	if err != nil {
		return nil, err
	}
	entries, err := r.Rest()
	q.most = max(q.most, len(entries))
	return query.ResultsWithEntries(what, entries), err
}

func FuzzJournalEntry(f *testing.F) {
	h := cidOf(f, "seed").Hash()
	f.Add([]byte{})
	f.Add(append(make([]byte, 9), h...))
	f.Add(append(make([]byte, 9), h[:20]...))
	f.Add(append(bytes.Repeat([]byte{0xff}, 9), h...))
	f.Fuzz(func(t *testing.T, b []byte) {
		again, err := dht.DecodeEntry(b)
		if entryErr := (*dht.EntryError)(nil); err != nil && !errors.As(err, &entryErr) {
			t.Fatalf("untyped error %v", err)
		}
		if err == nil && !bytes.Equal(again, b) {
			t.Fatalf("%x became %x", b, again)
		}
	})
}

// crashing is a store that loses everything since the last Sync.
type crashing struct {
	ds.Batching

	mu      sync.Mutex // guards durable
	durable map[ds.Key][]byte
}

func (c *crashing) Sync(ctx context.Context, k ds.Key) error {
	image := make(map[ds.Key][]byte)
	for e, err := range ds.QueryIter(ctx, c.Batching, query.Query{}) {
		if err != nil {
			return err
		}
		image[ds.NewKey(e.Key)] = e.Value
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.durable = image
	return c.Batching.Sync(ctx, k)
}

// afterCrash is the store as the next process finds it.
func (c *crashing) afterCrash(t *testing.T) ds.Batching {
	t.Helper()
	c.mu.Lock()
	image := maps.Clone(c.durable)
	c.mu.Unlock()
	s := newStore()
	for k, v := range image {
		if err := s.Put(t.Context(), k, v); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestJournalSurvivesAnAbruptEnd(t *testing.T) {
	store := &crashing{Batching: newStore()}
	before := start(t, dht.Options{Store: store})
	c, gone := cidOf(t, "survivor"), cidOf(t, "taken back")
	for _, err := range []error{
		before.Provide(t.Context(), c, gone),
		before.Unprovide(t.Context(), gone),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	image := store.afterCrash(t) // with no peers, nothing was provided before

	others := swarm(t, 3, dht.Options{})
	after := start(t, dht.Options{Store: image, Bootstrap: []peerInfo{others[0].info()}})
	until(t, "provide after the crash", func() bool { return after.Stats().Provided == 1 })
	if found := others[2].find(t, c); len(found) != 1 || found[0].ID != after.host.ID() {
		t.Errorf("found %v", found)
	}
	if found := others[2].find(t, gone); len(found) != 0 {
		t.Errorf("found %v of what was taken back", found)
	}
	if s := after.Stats(); s.Pending != 0 {
		t.Errorf("still pending: %+v", s)
	}
}

func TestNewCIDsOvertakeTheBacklog(t *testing.T) {
	const backlog = 8_000
	store := newStore()
	d := start(t, dht.Options{Store: store})
	cids := make([]cidCid, backlog)
	for i := range cids {
		cids[i] = cidOf(t, fmt.Sprint("old ", i))
	}
	begin := time.Now()
	if err := d.Provide(t.Context(), cids...); err != nil {
		t.Fatal(err)
	}
	t.Logf("journalled %d CIDs in %v", backlog, time.Since(begin))
	others := swarm(t, 3, dht.Options{Bootstrap: []peerInfo{d.info()}})
	until(t, "backlog at work", func() bool { return d.Stats().Provided > 0 })
	c := cidOf(t, "new")
	begin = time.Now()
	if err := d.Provide(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	until(t, "new CID", func() bool { return len(others[2].find(t, c)) == 1 })
	if s := d.Stats(); s.Pending == 0 {
		t.Logf("the backlog was faster: %+v", s)
	}
	t.Logf("found after %v, with %d pending", time.Since(begin), d.Stats().Pending)
}

func TestBackoffIsBounded(t *testing.T) {
	for attempt := range 100 {
		wait := dht.Backoff(attempt, time.Second, time.Minute)
		if wait < time.Second/2 || wait > 90*time.Second {
			t.Errorf("attempt %d waits %v", attempt, wait)
		}
	}
}
