// Package rope holds a long text that is edited in the middle.
//
// Positions are counted in Unicode code points, as in all of crdt, and converted to and from
// bytes of UTF-8 and the 16-bit units in which JavaScript, Java and LSP count. Nothing is
// normalised: the text is what was inserted, code point by code point.
//
// It is a list of blocks, each a list of chunks, each up to 1 KiB of bytes: finding a
// position passes over whole blocks and chunks by their sizes, and the last chunk is
// remembered, for whoever types there next.
//
// Invariant: no chunk is empty, and each is valid UTF-8.
package rope

import (
	"slices"
	"unicode/utf8"
)

// Unit is what positions and sizes are counted in.
type Unit int

// The units.
const (
	Runes Unit = iota // Unicode code points
	Bytes             // of UTF-8
	UTF16             // 16-bit units of UTF-16
	units
)

const (
	chunkMax = 1 << 10 // bytes
	chunkMin = chunkMax / 4
	blockMax = 64 // chunks
)

// size is a length in each unit.
type size [units]int

func (s *size) add(t size, sign int) {
	for u := range s {
		s[u] += sign * t[u]
	}
}

// measure is the size of text.
func measure(text []byte) size {
	runes := utf8.RuneCount(text)
	s := size{Runes: runes, Bytes: len(text), UTF16: runes}
	if runes < len(text) {
		for _, b := range text {
			if b >= 0xf0 { // it begins a code point of four bytes, which are two units of UTF-16
				s[UTF16]++
			}
		}
	}
	return s
}

// chunk is a piece of text.
type chunk struct {
	text         []byte
	runes, utf16 int32
}

func newChunk(text []byte) chunk {
	s := measure(text)
	return chunk{text, int32(s[Runes]), int32(s[UTF16])}
}

func (c *chunk) size() size { return size{int(c.runes), len(c.text), int(c.utf16)} }

// byteAt is the byte of the chunk at a position in the unit. Within a code point it is that
// where the code point begins.
func (c *chunk) byteAt(pos int, u Unit) int {
	if int(c.runes) == len(c.text) {
		return pos
	}
	for i := 0; i < len(c.text); {
		_, n := utf8.DecodeRune(c.text[i:])
		width := [units]int{1, n, 1 + n/4}[u]
		if pos < width {
			return i
		}
		pos -= width
		i += n
	}
	return len(c.text)
}

// block is some chunks.
type block struct {
	chunks []chunk
	size   size
}

// place is a chunk, and what comes before it.
type place struct {
	block, chunk int
	before       size
}

// Rope is a text. The zero value is empty. It is not safe for concurrent use.
type Rope struct {
	blocks []*block
	size   size
	last   place // where the last edit was, if valid
	valid  bool
}

// Len is its length in the unit.
func (r *Rope) Len(u Unit) int { return r.size[u] }

// find is the chunk in which a position is, or at the end of which: the first such one, or
// with after set the last.
func (r *Rope) find(pos int, u Unit, after bool) place {
	beyond := func(n int) bool { return n > pos || n == pos && !after }
	if p := r.last; r.valid && p.before[u] <= pos && (p.before[u] < pos || after || pos == 0) {
		if beyond(p.before[u] + r.blocks[p.block].chunks[p.chunk].size()[u]) {
			return p
		}
	}
	var p place
	for p.block < len(r.blocks)-1 && !beyond(p.before[u]+r.blocks[p.block].size[u]) {
		p.before.add(r.blocks[p.block].size, 1)
		p.block++
	}
	chunks := r.blocks[p.block].chunks
	for p.chunk < len(chunks)-1 && !beyond(p.before[u]+chunks[p.chunk].size()[u]) {
		p.before.add(chunks[p.chunk].size(), 1)
		p.chunk++
	}
	return p
}

// Insert puts text, which must be valid UTF-8, before the code point at pos.
func (r *Rope) Insert(pos int, text []byte) {
	if len(text) == 0 {
		return
	}
	if len(r.blocks) == 0 {
		r.blocks = []*block{{}}
		r.fill(place{}, 0, text)
		return
	}
	p := r.find(pos, Runes, false)
	b := r.blocks[p.block]
	c := &b.chunks[p.chunk]
	at := c.byteAt(pos-p.before[Runes], Runes)
	if len(c.text)+len(text) > chunkMax {
		whole := slices.Concat(c.text[:at], text, c.text[at:])
		r.grow(b, c.size(), -1)
		r.fill(p, 1, whole)
		return
	}
	c.text = slices.Insert(c.text, at, text...)
	s := measure(text)
	c.runes += int32(s[Runes])
	c.utf16 += int32(s[UTF16])
	r.grow(b, s, 1)
	r.last, r.valid = p, true
}

// grow changes the sizes of a block and of all.
func (r *Rope) grow(b *block, s size, sign int) {
	b.size.add(s, sign)
	r.size.add(s, sign)
}

// fill replaces n chunks by text, cut into pieces of about the same size.
func (r *Rope) fill(p place, n int, text []byte) {
	count := (len(text) + chunkMax*3/4 - 1) / (chunkMax * 3 / 4)
	pieces := make([]chunk, 0, count)
	for k := count; k > 0; k-- {
		end := len(text) / k
		for end < len(text) && !utf8.RuneStart(text[end]) {
			end++
		}
		if end > 0 {
			pieces = append(pieces, newChunk(slices.Clone(text[:end])))
		}
		text = text[end:]
	}
	b := r.blocks[p.block]
	for _, c := range pieces {
		r.grow(b, c.size(), 1)
	}
	b.chunks = slices.Replace(b.chunks, p.chunk, p.chunk+n, pieces...)
	r.valid = false
	if len(b.chunks) > blockMax {
		r.divide(p.block)
	}
}

// divide makes of a block some that are half full.
func (r *Rope) divide(i int) {
	var parts []*block
	for chunks := range slices.Chunk(r.blocks[i].chunks, blockMax/2) {
		b := &block{chunks: slices.Clone(chunks)}
		for _, c := range chunks {
			b.size.add(c.size(), 1)
		}
		parts = append(parts, b)
	}
	r.blocks = slices.Replace(r.blocks, i, i+1, parts...)
}

// Delete removes n code points from pos on.
func (r *Rope) Delete(pos, n int) {
	for n > 0 {
		p := r.find(pos, Runes, true)
		b := r.blocks[p.block]
		c := &b.chunks[p.chunk]
		k := min(n, p.before[Runes]+int(c.runes)-pos)
		from := c.byteAt(pos-p.before[Runes], Runes)
		to := c.byteAt(pos-p.before[Runes]+k, Runes)
		s := measure(c.text[from:to])
		c.text = slices.Delete(c.text, from, to)
		c.runes -= int32(s[Runes])
		c.utf16 -= int32(s[UTF16])
		r.grow(b, s, -1)
		n -= k
		r.last, r.valid = p, true
		if len(c.text) < chunkMin {
			r.tidy(p)
		}
	}
}

// tidy joins a small chunk with a neighbour, or removes it if it is empty.
func (r *Rope) tidy(p place) {
	b := r.blocks[p.block]
	i := p.chunk
	if len(b.chunks[i].text) == 0 {
		b.chunks = slices.Delete(b.chunks, i, i+1)
		r.valid = false
	} else if i = max(0, i-1); i+1 < len(b.chunks) {
		l, m := &b.chunks[i], &b.chunks[i+1]
		if len(l.text)+len(m.text) <= chunkMax/2 {
			l.text = append(l.text, m.text...)
			l.runes += m.runes
			l.utf16 += m.utf16
			b.chunks = slices.Delete(b.chunks, i+1, i+2)
			r.valid = false
		}
	}
	r.join(max(0, p.block-1))
	if len(b.chunks) == 0 {
		r.blocks = slices.DeleteFunc(r.blocks, func(x *block) bool { return x == b })
	}
}

// join makes one of blocks i and i+1 if they are small.
func (r *Rope) join(i int) {
	if i+1 >= len(r.blocks) || len(r.blocks[i].chunks)+len(r.blocks[i+1].chunks) > blockMax/2 {
		return
	}
	next := r.blocks[i+1]
	r.blocks[i].chunks = append(r.blocks[i].chunks, next.chunks...)
	r.blocks[i].size.add(next.size, 1)
	r.blocks = slices.Delete(r.blocks, i+1, i+2)
	r.valid = false
}

// Append appends the code points from pos on, n of them, to buf.
func (r *Rope) Append(buf []byte, pos, n int) []byte {
	if n <= 0 {
		return buf
	}
	p := r.find(pos, Runes, true)
	from := r.blocks[p.block].chunks[p.chunk].byteAt(pos-p.before[Runes], Runes)
	skip := pos - p.before[Runes]
	for i := p.block; i < len(r.blocks); i++ {
		chunks := r.blocks[i].chunks
		for k := p.chunk; k < len(chunks); k++ {
			c := &chunks[k]
			if have := int(c.runes) - skip; have < n {
				buf = append(buf, c.text[from:]...)
				n -= have
				from, skip = 0, 0
				continue
			}
			return append(buf, c.text[from:c.byteAt(skip+n, Runes)]...)
		}
		p.chunk = 0
	}
	return buf
}

// String is the whole text.
func (r *Rope) String() string {
	return string(r.Append(make([]byte, 0, r.size[Bytes]), 0, r.size[Runes]))
}

// Convert tells which position in one unit is the same as pos in another. A position
// within a code point becomes that where the code point begins; one before the text, or
// after it, becomes the beginning or the end.
func (r *Rope) Convert(pos int, from, to Unit) int {
	if pos <= 0 || len(r.blocks) == 0 {
		return 0
	}
	if pos >= r.size[from] {
		return r.size[to]
	}
	p := r.find(pos, from, true)
	c := &r.blocks[p.block].chunks[p.chunk]
	inside := measure(c.text[:c.byteAt(pos-p.before[from], from)])
	return p.before[to] + inside[to]
}
