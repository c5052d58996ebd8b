package commit

import (
	"cmp"
	"fmt"
	"iter"
	"unicode/utf8"

	"github.com/p2pnode/p2pnode/crdt/pack"
)

// Limits on operations.
const (
	// ObjectsMax is how many objects one commit may change.
	ObjectsMax = 4096
	// DepthMax is how deep objects may be nested.
	DepthMax = 32
	// KeyMax is the longest key in bytes.
	KeyMax = 1024
	// HorizonSize is how many bytes an OpHorizon has.
	HorizonSize = len(ID{}) + len(Digest{}) + len(Signature{})
)

// Kind is a type of objects.
type Kind byte

// The kinds. A document is a Map.
const (
	Map         Kind = 1 + iota
	Text             // Unicode code points in order
	List             // values in order
	Counter          // a sum of increments and decrements
	GrowCounter      // a sum of increments
	Register         // one value: of concurrent ones, all replicas choose the same
	MultiRegister
	Set
	kinds
)

// Object is one that the operations of a commit are about: the child of that kind, under
// that key of a map. Parent is the index of the map among the objects, or -1 for the
// document.
type Object struct {
	Parent int
	Kind   Kind
	Key    string
}

// Code is what an operation does.
type Code byte

// The codes, with the fields of Op that each has.
const (
	OpMake    Code = iota // makes the object be there, though it be empty
	OpClear               // removes all from the object, and below it, that the author has seen
	OpInsert              // Pos, Data: of a Text, its UTF-8; of a List, Count values one after the other
	OpDelete              // Pos, Count
	OpAdd                 // Delta of counters, Data of a Set: a value
	OpSet                 // Data of registers: a value
	OpRemove              // Data of a Set: a value
	OpRole                // Data: an author; Count: the role. It has no object
	OpUndo                // Data: the ID of an older commit, which the others undo. It has no object
	OpFrom                // Data: the ID of a document that this one is a copy of, or then of its heads. It has no object
	OpHorizon             // Data: the ID of a commit, the digest of the document as of it, and the author's signature of both (SignBase). It has no object
	codes                 // at most codesMax
)

// codesMax is for how many codes there is room.
const codesMax = 16

// Op is one operation. The commit's author made each on what the ones before had left.
type Op struct {
	Code   Code
	Object int // index among the objects; -1 for the document
	Pos    int
	Count  int // of a Text's Insert, the code points
	Delta  int64
	Data   []byte
}

// Ops are the operations of a commit. Their bytes are, in unsigned varints of the shortest
// form where nothing else is said:
//
//	objects   how many; of each: parent+1, kind, length of the key, key
//	ops       to the end; of each: code + 16 × (object+1), then
//	          insert: position, length, data; of a list: position, count, length, data
//	          delete: position, count
//	          add: delta; of a set: length, data
//	          set, remove: length, data
//	          role: role, 32 bytes
//	          undo, from: 32 bytes
//	          horizon: 64 bytes
//
// The first object is the child of the document or of none but those before it. A position
// is written as its distance, in zigzag form as deltas are, from where the operation before
// in the same object has ended, so that what is typed in one go repeats the same byte.
type Ops struct {
	Objects  []Object
	Document []Op // those that have no object
	body     []byte
}

// All yields the operations. Their Data must not be changed.
func (o *Ops) All() iter.Seq[Op] {
	return func(yield func(Op) bool) {
		r := o.reader()
		for r.Len() > 0 {
			if !yield(r.op()) {
				return
			}
		}
	}
}

// Edits tells whether any operation changes an object, or undoes one that did.
func (o *Ops) Edits() bool {
	for op := range o.All() {
		if op.Code == OpUndo || op.Object >= 0 {
			return true
		}
	}
	return false
}

// ParseOps reads the operations of a commit. Whether they name positions that are there, and
// objects of a kind that has such operations, is not for the bytes to say.
func ParseOps(data []byte) (*Ops, error) {
	o := new(Ops)
	r := pack.NewReader(data)
	depth := make([]int, 0, 8)
	seen := make(map[Object]bool)
	n := r.UpTo(ObjectsMax)
	for i := 0; i < n && r.Err() == nil; i++ {
		obj := Object{Parent: r.UpTo(i) - 1, Kind: Kind(r.UpTo(int(kinds) - 1))}
		obj.Key = string(r.Bytes(r.UpTo(KeyMax)))
		d := 1
		if obj.Parent >= 0 {
			d = depth[obj.Parent] + 1
			if o.Objects[obj.Parent].Kind != Map {
				r.Fail("a child of kind %d", o.Objects[obj.Parent].Kind)
			}
		}
		if obj.Kind == 0 || d > DepthMax || !utf8.ValidString(obj.Key) || seen[obj] {
			r.Fail("object %d of kind %d at depth %d", i, obj.Kind, d)
		}
		seen[obj] = true
		o.Objects, depth = append(o.Objects, obj), append(depth, d)
	}
	o.body = r.Bytes(r.Len())
	check := o.reader()
	for check.Len() > 0 {
		if op := check.op(); check.Err() == nil && op.Object < 0 {
			o.Document = append(o.Document, op)
		}
	}
	if err := cmp.Or(r.Err(), check.Err()); err != nil {
		return nil, fmt.Errorf("parse operations: %w: %w", ErrMalformed, err)
	}
	return o, nil
}

func (o *Ops) reader() *reader {
	return &reader{Reader: pack.NewReader(o.body), objects: o.Objects, cursors: make([]int, len(o.Objects))}
}

// reader takes operations apart.
type reader struct {
	*pack.Reader
	objects []Object
	cursors []int // where the last operation in each object has ended
}

// numberMax is the largest position or count.
const numberMax = 1 << 40

// pos reads a position.
func (r *reader) pos(cursor int) int {
	d := r.Signed()
	if d > numberMax || d < -numberMax || cursor+int(d) < 0 || cursor+int(d) > numberMax {
		r.Fail("position %d", d)
		return 0
	}
	return cursor + int(d)
}

func (r *reader) op() Op {
	head := r.UpTo(len(r.objects)*codesMax + codesMax - 1)
	op := Op{Code: Code(head % codesMax), Object: head/codesMax - 1}
	kind := Map
	if op.Object >= 0 {
		kind = r.objects[op.Object].Kind
	}
	if !op.Code.fits(kind, op.Object) {
		r.Fail("operation %d on kind %d", op.Code, kind)
		return op
	}
	switch op.Code {
	case OpInsert, OpDelete:
		r.splice(&op, kind)
	case OpAdd:
		if kind == Set {
			op.Data = r.value()
		} else if op.Delta = r.Signed(); kind == GrowCounter && op.Delta < 0 {
			r.Fail("%d added to a counter that grows", op.Delta)
		}
	case OpSet, OpRemove:
		op.Data = r.value()
	case OpRole:
		op.Count = r.UpTo(int(roles) - 1)
		op.Data = r.Bytes(len(Author{}))
	case OpUndo, OpFrom:
		op.Data = r.Bytes(len(ID{}))
	case OpHorizon:
		op.Data = r.Bytes(HorizonSize)
	}
	return op
}

// splice reads an insertion or a deletion.
func (r *reader) splice(op *Op, kind Kind) {
	cursor := &r.cursors[op.Object]
	op.Pos = r.pos(*cursor)
	*cursor = op.Pos
	if op.Code == OpDelete {
		op.Count = r.UpTo(numberMax)
	} else if kind == List {
		op.Count = r.UpTo(SizeMax)
		op.Data = r.Sized()
		n, rest := 0, op.Data
		for ; len(rest) > 0 && r.Err() == nil; n++ {
			_, rest = r.cutValue(rest)
		}
		if n != op.Count {
			r.Fail("%d values, not %d", n, op.Count)
		}
	} else if op.Data = r.Sized(); utf8.Valid(op.Data) {
		op.Count = utf8.RuneCount(op.Data)
	}
	if op.Count == 0 {
		r.Fail("an operation on nothing, or on what is not UTF-8")
	}
	if op.Code == OpInsert {
		*cursor += op.Count
	}
}

// value reads one value with its length.
func (r *reader) value() []byte {
	data := r.Sized()
	if _, rest := r.cutValue(data); len(rest) > 0 {
		r.Fail("%d bytes after a value", len(rest))
	}
	return data
}

func (r *reader) cutValue(data []byte) (value, rest []byte) {
	n := valueSize(data)
	if n <= 0 {
		r.Fail("no value")
		return nil, nil
	}
	return data[:n], data[n:]
}

// fits tells whether there is such an operation on objects of the kind; an object of -1 is
// the document.
func (c Code) fits(kind Kind, object int) bool {
	switch c {
	case OpRole, OpUndo, OpFrom, OpHorizon:
		return object < 0
	case OpMake, OpClear:
		return object >= 0
	case OpInsert, OpDelete:
		return kind == Text || kind == List
	case OpAdd:
		return kind == Counter || kind == GrowCounter || kind == Set
	case OpSet:
		return kind == Register || kind == MultiRegister
	case OpRemove:
		return kind == Set
	}
	return false
}

// Role is what an author may do with a document.
type Role byte

// The roles. Each may do what those before it may.
const (
	None Role = iota
	Read
	Write
	Manage
	roles
)
