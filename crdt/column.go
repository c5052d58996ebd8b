package crdt

import (
	"iter"
	"slices"
)

// chunkMax is how many values are in one piece of a column.
const chunkMax = 512

// column is the values of a list, in pieces, so that one in the middle of a long list can be
// put in or taken out without moving all others.
//
// Invariant: no piece is empty.
type column struct {
	chunks [][]string
	n      int
}

// find is the piece with the value at pos, or where the last one ends, and the place in it.
func (c *column) find(pos int) (chunk, at int) {
	for ; chunk < len(c.chunks)-1 && pos >= len(c.chunks[chunk]); chunk++ {
		pos -= len(c.chunks[chunk])
	}
	return chunk, pos
}

func (c *column) insert(pos int, values []string) {
	if len(values) == 0 {
		return
	}
	c.n += len(values)
	if len(c.chunks) == 0 {
		c.chunks = [][]string{nil}
	}
	i, at := c.find(pos)
	if whole := slices.Insert(c.chunks[i], at, values...); len(whole) <= chunkMax {
		c.chunks[i] = whole
	} else {
		var parts [][]string
		for part := range slices.Chunk(whole, chunkMax/2) {
			parts = append(parts, slices.Clone(part))
		}
		c.chunks = slices.Replace(c.chunks, i, i+1, parts...)
	}
}

func (c *column) delete(pos, n int) {
	c.n -= n
	for n > 0 {
		i, at := c.find(pos)
		k := min(n, len(c.chunks[i])-at)
		c.chunks[i] = slices.Delete(c.chunks[i], at, at+k)
		n -= k
		if len(c.chunks[i]) == 0 {
			c.chunks = slices.Delete(c.chunks, i, i+1)
		} else if i > 0 && len(c.chunks[i-1])+len(c.chunks[i]) <= chunkMax/2 {
			c.chunks[i-1] = append(c.chunks[i-1], c.chunks[i]...)
			c.chunks = slices.Delete(c.chunks, i, i+1)
		}
	}
}

// part are the n values from pos on.
func (c *column) part(pos, n int) []string {
	part := make([]string, 0, n)
	i, at := c.find(pos)
	for ; len(part) < n; i, at = i+1, 0 {
		chunk := c.chunks[i][at:]
		part = append(part, chunk[:min(len(chunk), n-len(part))]...)
	}
	return part
}

func (c *column) all() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, chunk := range c.chunks {
			for _, v := range chunk {
				if !yield(v) {
					return
				}
			}
		}
	}
}
