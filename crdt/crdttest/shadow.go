package crdttest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/p2pnode/p2pnode/crdt"
	"github.com/p2pnode/p2pnode/crdt/commit"
)

// shadow is a document that knows deltas alone.
type shadow map[string]*thing

// thing is an object of it.
type thing struct {
	path   []string
	kind   commit.Kind
	there  bool
	value  any      // of counters and registers
	values []string // of the others: code points, or the bytes of values
}

// apply makes a delta. It fails if that does not fit.
func (s shadow) apply(d crdt.Delta) error {
	key := fmt.Sprintf("%q %d", d.Path, d.Kind)
	o := s[key]
	if o == nil {
		o = &thing{path: d.Path, kind: d.Kind}
		s[key] = o
	}
	if o.there == (d.Change == crdt.Made) || !reflect.DeepEqual(o.value, d.Old) {
		return fmt.Errorf("delta of %s: change %d of %v, which is there: %v, and is %v", key, d.Change, d.Old, o.there, o.value)
	}
	o.there, o.value = d.Change != crdt.Removed, d.New
	for _, p := range d.Splices {
		old, now := strings.Split(p.Old, ""), strings.Split(p.New, "")
		if d.Kind == commit.List {
			old, now = bytesOf(p.OldValues), bytesOf(p.NewValues)
		}
		end := p.Pos + len(old)
		if p.Pos < 0 || end > len(o.values) || !slices.Equal(o.values[p.Pos:end], old) {
			return fmt.Errorf("delta of %s: %q at %d of %q", key, old, p.Pos, o.values)
		}
		o.values = slices.Replace(o.values, p.Pos, end, now...)
	}
	for _, v := range bytesOf(d.Gone) {
		i, there := slices.BinarySearch(o.values, v)
		if !there {
			return fmt.Errorf("delta of %s: %q was not there", key, v)
		}
		o.values = slices.Delete(o.values, i, i+1)
	}
	for _, v := range bytesOf(d.Added) {
		i, there := slices.BinarySearch(o.values, v)
		if there {
			return fmt.Errorf("delta of %s: %q was there", key, v)
		}
		o.values = slices.Insert(o.values, i, v)
	}
	return nil
}

func bytesOf(values []any) []string {
	var list []string
	for _, v := range values {
		b, err := commit.AppendValue(nil, v)
		if err != nil {
			panic(err) // a document has no other values
		}
		list = append(list, string(b))
	}
	return list
}

// view is what the Doc's View should be, of the map at a path.
func (s shadow) view(path []string) map[string]any {
	v := make(map[string]any)
	for k := commit.Set; k >= commit.Map; k-- { // the first comes last, and is seen
		for _, o := range s {
			n := len(path)
			if o.there && o.kind == k && len(o.path) == n+1 && slices.Equal(o.path[:n], path) {
				v[o.path[n]] = o.view(s)
			}
		}
	}
	return v
}

func (o *thing) view(s shadow) any {
	switch o.kind {
	case commit.Map:
		return s.view(o.path)
	case commit.Text:
		return strings.Join(o.values, "")
	case commit.List, commit.Set:
		values := []any{}
		for _, e := range o.values {
			values = append(values, commit.Value([]byte(e)))
		}
		return values
	}
	return o.value
}

// watch applies the deltas of a replica to its shadow, and compares.
func (r *replica) watch() error {
	if r.shadow == nil {
		return nil
	}
	for _, d := range r.doc.Deltas() {
		if err := r.shadow.apply(d); err != nil {
			return fmt.Errorf("replica %d: %w", r.number, err)
		}
	}
	if got, want := r.shadow.view(nil), r.doc.View(); !reflect.DeepEqual(got, want) {
		return fmt.Errorf("replica %d: state %v, by its deltas %v", r.number, want, got)
	}
	return nil
}
