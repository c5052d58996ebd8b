package measure_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/testground/measure"
)

// TestSaveLoad: what is saved is loaded, to the last value.
func TestSaveLoad(t *testing.T) {
	r := measure.New()
	r.Add("a_s", 1234567891*time.Nanosecond, 3, math.Pi)
	r.Add("a_s", 0, -1, -1e-300)
	r.Add(`odd, "name"`, time.Hour, 0, 1)
	r.Add("a_s", 0, 0, math.NaN())
	r.Add("a_s", 0, 0, math.Inf(1))
	r.AddGraph(measure.Graph{Name: "end", TimeS: 3, Group: []int{0, -1}, Edges: [][2]int{{0, 1}}})
	r.AddBound(measure.Bound{Series: "a_s", Label: "theory", Value: 2})
	run := measure.Run{
		Hash: "1f", Bounds: r.Bounds(),
		Scenario: "gossip", Peers: 2, Seed: math.MaxUint64, Result: measure.Failed, Error: "no", Set: map[string]string{"a": "b"},
		Began: time.Unix(1e9, 0).UTC(), Dropped: r.Dropped(), Measures: r.Summaries(), Graphs: r.Graphs(),
	}
	dir := filepath.Join(t.TempDir(), "a", "b")
	for range 2 { // the second replaces the first
		if err := measure.Save(dir, run, r); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{dir, filepath.Join(dir, measure.RunFile)} {
		got, values, err := measure.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, run) {
			t.Errorf("got %+v, want %+v", got, run)
		}
		for _, name := range r.Names() {
			if !reflect.DeepEqual(values.Points(name), r.Points(name)) {
				t.Errorf("%s: got %v, want %v", name, values.Points(name), r.Points(name))
			}
		}
		if values.Dropped() != 2 || !reflect.DeepEqual(values.Graphs(), r.Graphs()) {
			t.Errorf("got %d, %v", values.Dropped(), values.Graphs())
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".partial*")); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

func TestLoadMistakes(t *testing.T) {
	for _, m := range []struct{ run, series, want string }{
		{"", "", "unexpected end"},
		{"{}", "", "names no scenario"},
		{`{"scenario":"x","graphs":[{"group":[],"edges":[[0,0]]}]}`, "", "of 0 peers"},
		{`{"scenario":"x"}`, "", "first line"},
		{`{"scenario":"x"}`, "a,b,c,d\n", "first line"},
		{`{"scenario":"x"}`, "series,time_s,peer,value\na,1,2\n", "line 2"},
		{`{"scenario":"x"}`, "series,time_s,peer,value\na,1,2,3\na,x,2,3\n", "line 3"},
		{`{"scenario":"x"}`, "series,time_s,peer,value\na,1,2.5,3\n", "line 2"},
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{measure.RunFile: m.run, measure.SeriesFile: m.series} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := measure.Load(dir); err == nil || !strings.Contains(err.Error(), m.want) {
			t.Errorf("%s, %q: got %v, want %q", m.run, m.series, err, m.want)
		}
	}
	if _, _, err := measure.Load(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// TestWriteFile: a file that cannot be written whole is left as it was.
func TestWriteFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte("before"), 0o666); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	err := measure.WriteFile(name, func(w io.Writer) error {
		if _, err := w.Write([]byte("half")); err != nil {
			return err
		}
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if b, err := os.ReadFile(name); err != nil || string(b) != "before" {
		t.Errorf("got %q, %v", b, err)
	}
	if all, err := os.ReadDir(filepath.Dir(name)); err != nil || len(all) != 1 {
		t.Errorf("got %v, %v", all, err)
	}
}

func TestFollow(t *testing.T) {
	r := measure.New()
	r.Add("before", 0, 0, 1)
	var heard []string
	r.Follow(follower{&heard})
	r.Add("a", 0, 0, 1)
	r.Add("not", 0, 0, math.NaN())
	r.AddGraph(measure.Graph{Name: "g"})
	r.AddBound(measure.Bound{Series: "b", Value: math.Inf(1)})
	r.AddBound(measure.Bound{Series: "c"})
	if got := strings.Join(heard, " "); got != "a g c" {
		t.Errorf("heard %s", got)
	}
}

type follower struct{ heard *[]string }

func (f follower) Value(name string, _ measure.Point) { *f.heard = append(*f.heard, name) }
func (f follower) Graph(g measure.Graph)              { *f.heard = append(*f.heard, g.Name) }
func (f follower) Bound(b measure.Bound)              { *f.heard = append(*f.heard, b.Series) }

func FuzzReadCSV(f *testing.F) {
	f.Add([]byte("series,time_s,peer,value\na,1.5,-1,3\n\"b,\",0,7,-1e300\n"))
	f.Add([]byte("series,time_s,peer,value\na,NaN,1,Inf\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := measure.New()
		if r.ReadCSV(bytes.NewReader(b)) != nil {
			return
		}
		var once bytes.Buffer
		if err := r.WriteCSV(&once); err != nil {
			t.Fatal(err)
		}
		again := measure.New()
		if err := again.ReadCSV(bytes.NewReader(once.Bytes())); err != nil {
			t.Fatalf("%v in %q", err, once.Bytes())
		}
		for _, name := range r.Names() {
			if len(r.Points(name)) != len(again.Points(name)) {
				t.Errorf("%q: %d values, then %d", name, len(r.Points(name)), len(again.Points(name)))
			}
		}
	})
}
