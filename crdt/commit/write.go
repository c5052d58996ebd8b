package commit

import (
	"encoding/binary"
	"unicode/utf8"
)

// Writer gathers the operations of one commit. The zero value is empty.
type Writer struct {
	objects []Object
	index   map[Object]int
	cursors []int
	table   []byte // objects, as bytes
	body    []byte // operations, as bytes
}

// Object is the index of an object.
func (w *Writer) Object(o Object) int {
	if i, ok := w.index[o]; ok {
		return i
	}
	if w.index == nil {
		w.index = make(map[Object]int)
	}
	i := len(w.objects)
	w.index[o] = i
	w.objects, w.cursors = append(w.objects, o), append(w.cursors, 0)
	w.table = binary.AppendUvarint(w.table, uint64(o.Parent+1))
	w.table = append(w.table, byte(o.Kind))
	w.table = binary.AppendUvarint(w.table, uint64(len(o.Key)))
	w.table = append(w.table, o.Key...)
	return i
}

// Objects are those with an index. The slice must not be changed.
func (w *Writer) Objects() []Object { return w.objects }

// Add adds an operation, of which the object must have an index.
func (w *Writer) Add(op Op) {
	b := binary.AppendUvarint(w.body, uint64(int(op.Code)+codesMax*(op.Object+1)))
	switch op.Code {
	case OpInsert, OpDelete:
		b = binary.AppendVarint(b, int64(op.Pos-w.cursors[op.Object]))
		w.cursors[op.Object] = op.Pos
		list := w.objects[op.Object].Kind == List
		if op.Code == OpDelete || list {
			b = binary.AppendUvarint(b, uint64(op.Count))
		}
		if op.Code == OpInsert {
			b = appendSized(b, op.Data)
			if !list {
				op.Count = utf8.RuneCount(op.Data)
			}
			w.cursors[op.Object] += op.Count
		}
	case OpAdd:
		if w.objects[op.Object].Kind == Set {
			b = appendSized(b, op.Data)
		} else {
			b = binary.AppendVarint(b, op.Delta)
		}
	case OpSet, OpRemove:
		b = appendSized(b, op.Data)
	case OpUndo, OpFrom, OpHorizon:
		b = append(b, op.Data...)
	case OpRole:
		b = append(binary.AppendUvarint(b, uint64(op.Count)), op.Data...)
	}
	w.body = b
}

func appendSized(b, data []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(data))), data...)
}

// Size is how many bytes the operations have so far.
func (w *Writer) Size() int { return len(w.table) + len(w.body) + binary.MaxVarintLen16 }

// Empty tells whether there are no operations.
func (w *Writer) Empty() bool { return len(w.body) == 0 }

// Bytes are the operations as a commit holds them.
func (w *Writer) Bytes() []byte {
	b := make([]byte, 0, w.Size())
	b = binary.AppendUvarint(b, uint64(len(w.objects)))
	return append(append(b, w.table...), w.body...)
}
