package gateway

import (
	"errors"

	"github.com/ipfs/go-cid"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/p2pnode/p2pnode/block"
)

// boxo reads a file however deep its nodes lie inside each other, and keeps all
// that are above the place it reads. So a request knows how deep every node is
// that it reads, and ends where no honest content is.
const (
	// fileDepthMax is how many levels of nodes a file may have.
	fileDepthMax = 64
	// dirDepthMax is how many directories, or shards of one, may lie inside each
	// other.
	dirDepthMax = 1024
	// nodesSizeMax is the most bytes of nodes on the way to one part of a file.
	// Files of terabytes have some 200 KiB.
	nodesSizeMax = 8 << 20
	// shardPrefixMax is the longest name in bytes that leads from one shard of a
	// directory to the next.
	shardPrefixMax = 3
)

// errTooDeep means content that is nested deeper than any honest content.
var errTooDeep = errors.New("the content is nested deeper than this gateway reads")

// level is how deep a node is: in a file, or in directories.
type level struct{ file, dirs int }

// descent is the way of a request into a DAG, which is read depth first.
type descent struct {
	ahead map[cid.Cid]level // nodes that a node which was read links to
	sizes []int             // of the file nodes that were read last, by level
	file  cid.Cid           // root of the first file that was read and has more blocks
}

// enter takes in a node that is read. tree says that directories are gone into,
// not only listed.
func (d *descent) enter(b block.Block, tree bool) error {
	c := b.Cid()
	if c.Type() != cid.DagProtobuf {
		return nil
	}
	n := outlineOf(b.RawData())
	at := d.ahead[c]
	delete(d.ahead, c)
	if len(n.links) == 0 {
		return nil
	}
	below := level{file: at.file + 1}
	if n.kind == typeDirectory || n.kind == typeShard {
		below = level{dirs: at.dirs + 1}
	}
	if below.file > fileDepthMax || below.dirs > dirDepthMax {
		return errTooDeep
	}
	if below.file > 0 && !d.fits(at.file, b.Size()) {
		return errTooLarge
	}
	if n.kind == typeFile && !d.file.Defined() {
		d.file = c
	}
	if n.kind == typeDirectory && !tree {
		return nil
	}
	if d.ahead == nil {
		d.ahead = make(map[cid.Cid]level)
	}
	for _, l := range n.links {
		if n.kind == typeShard && !tree && len(l.name) > shardPrefixMax {
			continue
		}
		if c, err := cid.Cast(l.hash); err == nil && c.Type() == cid.DagProtobuf {
			was := d.ahead[c]
			d.ahead[c] = level{file: max(was.file, below.file), dirs: max(was.dirs, below.dirs)}
		}
	}
	return nil
}

// fits tells whether a file node of size bytes, with those above it, is within
// nodesSizeMax.
func (d *descent) fits(depth, size int) bool {
	for len(d.sizes) <= depth {
		d.sizes = append(d.sizes, 0)
	}
	d.sizes[depth] = size
	sum := 0
	for _, s := range d.sizes[:depth+1] {
		sum += s
	}
	return sum <= nodesSizeMax
}

// outline is what there is to know of a node to find the way: what it is, and
// where it leads. It is that of every node that boxo would take, whatever the
// order of its fields, and of others.
type outline struct {
	kind  uint64
	links []outlineLink
}

type outlineLink struct{ hash, name []byte }

func outlineOf(node []byte) (o outline) {
	eachField(node, func(number protowire.Number, value []byte, _ uint64) {
		switch number {
		case 1:
			eachField(value, func(number protowire.Number, _ []byte, v uint64) {
				if number == 1 {
					o.kind = v
				}
			})
		case 2:
			var l outlineLink
			eachField(value, func(number protowire.Number, value []byte, _ uint64) {
				switch number {
				case 1:
					l.hash = value
				case 2:
					l.name = value
				}
			})
			o.links = append(o.links, l)
		}
	})
	return o
}

// eachField calls visit with every field of message, up to one that is malformed:
// bytes have a value, numbers v.
func eachField(message []byte, visit func(number protowire.Number, value []byte, v uint64)) {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return
		}
		message = message[n:]
		var value []byte
		var v uint64
		switch kind {
		case protowire.BytesType:
			value, n = protowire.ConsumeBytes(message)
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(message)
		default:
			n = protowire.ConsumeFieldValue(number, kind, message)
		}
		if n < 0 {
			return
		}
		visit(number, value, v)
		message = message[n:]
	}
}
