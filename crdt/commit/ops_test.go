package commit_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/p2pnode/p2pnode/crdt/commit"
)

func value(t testing.TB, v any) []byte {
	t.Helper()
	b, err := commit.AppendValue(nil, v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sample has every operation on every kind.
func sample(t testing.TB) (*commit.Writer, []commit.Op) {
	w := new(commit.Writer)
	object := make(map[commit.Kind]int)
	for k := commit.Map; k <= commit.Set; k++ {
		object[k] = w.Object(commit.Object{Parent: -1, Kind: k, Key: fmt.Sprint(k)})
	}
	below := w.Object(commit.Object{Parent: object[commit.Map], Kind: commit.Text})
	author := commit.AuthorOf(key(3))
	two := slices.Concat(value(t, "x"), value(t, 1.5))
	ops := []commit.Op{
		{Code: commit.OpMake, Object: object[commit.Map]},
		{Code: commit.OpClear, Object: object[commit.List]},
		{Code: commit.OpInsert, Object: below, Pos: 7, Count: 3, Data: []byte("a🙂c")},
		{Code: commit.OpDelete, Object: below, Pos: 2, Count: 1 << 20},
		{Code: commit.OpInsert, Object: object[commit.Text], Count: 1, Data: []byte("é")},
		{Code: commit.OpInsert, Object: object[commit.List], Pos: 1, Count: 2, Data: two},
		{Code: commit.OpDelete, Object: object[commit.List], Pos: 3, Count: 1},
		{Code: commit.OpAdd, Object: object[commit.Counter], Delta: math.MinInt64},
		{Code: commit.OpAdd, Object: object[commit.GrowCounter], Delta: math.MaxInt64},
		{Code: commit.OpAdd, Object: object[commit.Set], Data: value(t, -5)},
		{Code: commit.OpRemove, Object: object[commit.Set], Data: value(t, []byte{0})},
		{Code: commit.OpSet, Object: object[commit.Register], Data: value(t, nil)},
		{Code: commit.OpSet, Object: object[commit.MultiRegister], Data: value(t, true)},
		{Code: commit.OpRole, Object: -1, Count: int(commit.Manage), Data: author[:]},
		{Code: commit.OpUndo, Object: -1, Data: author[:]},
		{Code: commit.OpFrom, Object: -1, Data: author[:]},
		{Code: commit.OpHorizon, Object: -1, Data: bytes.Repeat(author[:], 4)},
	}
	for _, op := range ops {
		w.Add(op)
	}
	return w, ops
}

func TestOpsRoundTrip(t *testing.T) {
	w, want := sample(t)
	o, err := commit.ParseOps(w.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Collect(o.All()); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if !reflect.DeepEqual(o.Objects, w.Objects()) {
		t.Errorf("objects %+v, want %+v", o.Objects, w.Objects())
	}
}

// What somebody types in one go costs little besides the text.
func TestTypingIsShort(t *testing.T) {
	var w commit.Writer
	body := w.Object(commit.Object{Parent: -1, Kind: commit.Text, Key: "body"})
	w.Add(commit.Op{Code: commit.OpInsert, Object: body, Pos: 100_000, Data: []byte("x")})
	one := len(w.Bytes())
	for i := range 100 {
		w.Add(commit.Op{Code: commit.OpInsert, Object: body, Pos: 100_001 + i, Data: []byte("y")})
	}
	if one > 16 || len(w.Bytes())-one != 400 {
		t.Errorf("%d bytes for the first letter, %d for 100 more", one, len(w.Bytes())-one)
	}
}

func TestParseOpsRejects(t *testing.T) {
	text := func(ops ...byte) []byte { return append([]byte{1, 0, byte(commit.Text), 1, 'a'}, ops...) }
	list := func(ops ...byte) []byte { return append([]byte{1, 0, byte(commit.List), 1, 'a'}, ops...) }
	deep := []byte{commit.DepthMax + 1}
	for i := range commit.DepthMax + 1 {
		deep = append(deep, byte(i), byte(commit.Map), 0)
	}
	for name, bad := range map[string][]byte{
		"nothing":                     {},
		"more objects than bytes":     {0xff, 0x1f},
		"too many objects":            {0x81, 0x20},
		"an object below itself":      {1, 1, byte(commit.Map), 0},
		"a child of a text":           {2, 0, byte(commit.Text), 0, 1, byte(commit.Text), 0},
		"kind 0":                      {1, 0, 0, 0},
		"an unknown kind":             {1, 0, 9, 0},
		"the same object twice":       {2, 0, 1, 0, 0, 1, 0},
		"a key that is not UTF-8":     {1, 0, 1, 1, 0xff},
		"too deep":                    deep,
		"a number in too many bytes":  {0x80, 0},
		"an operation on no object":   text(2 + 16*2),
		"an insertion in the root":    {0, 2, 0, 1, 'x'},
		"a sum of letters":            text(4+16, 2),
		"a negative position":         text(2+16, 1, 1, 'x'),
		"text that is not UTF-8":      text(2+16, 0, 1, 0xff),
		"no text":                     text(2+16, 0, 0),
		"text that is cut":            text(2+16, 0, 2, 'x'),
		"nothing deleted":             text(3+16, 0, 0),
		"more values than are there":  list(2+16, 0, 2, 1, 0),
		"fewer values than are there": list(2+16, 0, 1, 2, 0, 0),
		"a value that is none":        list(2+16, 0, 1, 1, 7),
		"a real that is not a number": list(2+16, 0, 1, 9, 4, 0x7f, 0xf8, 0, 0, 0, 0, 0, 1),
		"the other zero":              list(2+16, 0, 1, 9, 4, 0x80, 0, 0, 0, 0, 0, 0, 0),
		"an unknown role":             append([]byte{0, 7, 4}, make([]byte, 32)...),
		"a role of nobody":            {0, 7, 2, 1},
		"an unknown operation":        {0, 15},
		"an undo of nothing":          {0, 8, 1},
		"a growing counter shrinks":   {1, 0, byte(commit.GrowCounter), 0, 4 + 16, 1},
		"a value and more":            {1, 0, byte(commit.Register), 0, 5 + 16, 2, 0, 0},
	} {
		if _, err := commit.ParseOps(bad); !errors.Is(err, commit.ErrMalformed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestValues(t *testing.T) {
	all := []any{nil, false, true, int64(0), int64(-1), int64(math.MaxInt64), 0.5, math.Inf(-1), "", "é", []byte{}, []byte{1, 2}}
	var joined []byte
	for _, v := range all {
		b := value(t, v)
		if got := commit.Value(b); !reflect.DeepEqual(got, v) {
			t.Errorf("%v became %v", v, got)
		}
		joined = append(joined, b...)
	}
	if got := commit.Values(joined); len(got) != len(all) {
		t.Errorf("%d values, want %d", len(got), len(all))
	}
	if !bytes.Equal(value(t, math.Copysign(0, -1)), value(t, 0.0)) {
		t.Error("two zeros")
	}
	for _, bad := range []any{math.NaN(), "\xff", struct{}{}} {
		if _, err := commit.AppendValue(nil, bad); !errors.Is(err, commit.ErrMalformed) {
			t.Errorf("%v: got %v", bad, err)
		}
	}
}

// again writes what was parsed.
func again(o *commit.Ops) []byte {
	var w commit.Writer
	for _, obj := range o.Objects {
		w.Object(obj)
	}
	for op := range o.All() {
		w.Add(op)
	}
	return w.Bytes()
}

func FuzzParseOps(f *testing.F) {
	w, _ := sample(f)
	f.Add(w.Bytes())
	rng := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		b := slices.Clone(w.Bytes())
		b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := commit.ParseOps(data)
		if err != nil {
			return
		}
		if got := again(o); !bytes.Equal(got, data) {
			t.Fatalf("%x is written as %x", data, got)
		}
	})
}

// The table of objects takes no more than some times its bytes.
func TestParseOpsAllocatesInProportion(t *testing.T) {
	var w commit.Writer
	for i := range commit.ObjectsMax {
		w.Object(commit.Object{Parent: -1, Kind: commit.Map, Key: strings.Repeat("k", 20) + fmt.Sprint(i)})
	}
	data := w.Bytes()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := commit.ParseOps(data); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 32*uint64(len(data)) {
		t.Errorf("%d bytes allocated for %d", n, len(data))
	}
	for _, claim := range [][]byte{{0xff, 0x1f}, {1, 0, 1, 0xff, 7}} {
		if n := testing.AllocsPerRun(10, func() { _, _ = commit.ParseOps(claim) }); n > 20 {
			t.Errorf("%v allocations for a claim of %d bytes", n, len(claim))
		}
	}
}
