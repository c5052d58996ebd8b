package gateway

import (
	"github.com/ipfs/go-cid"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/p2pnode/p2pnode/block"
)

// Field numbers of dag-pb (PBNode, PBLink) and of the UnixFS message in its
// data. What is here understands only what quick needs, and what it does not
// understand it leaves to boxo.
const (
	nodeData, nodeLinks    = 1, 2
	linkHash, linkName     = 1, 2
	unixfsType, unixfsData = 1, 2
	unixfsFileSize         = 3

	unixfsDirectory, unixfsIsFile, unixfsShard = 1, 2, 5
)

// isDirectory tells whether b is a directory or a shard of one.
func isDirectory(b block.Block) bool {
	if b.Cid().Type() != cid.DagProtobuf {
		return false
	}
	var data []byte
	eachField(b.RawData(), func(number protowire.Number, value []byte) bool {
		if number == nodeData {
			data = value
		}
		return true
	})
	// The type comes first, so what else a shard has need not be understood.
	number, kind, n := protowire.ConsumeTag(data)
	if n < 0 || number != unixfsType || kind != protowire.VarintType {
		return false
	}
	t, _ := protowire.ConsumeVarint(data[n:])
	return t == unixfsDirectory || t == unixfsShard
}

// findLink returns where name leads in a directory that is not sharded.
func findLink(node []byte, name string) (cid.Cid, bool) {
	var found cid.Cid
	var data []byte
	ok := eachField(node, func(number protowire.Number, value []byte) bool {
		switch number {
		case nodeData:
			data = value
		case nodeLinks:
			hash, this, ok := decodeLink(value)
			if !ok {
				return false
			}
			if string(this) == name && !found.Defined() {
				c, err := cid.Cast(hash)
				if err != nil {
					return false
				}
				found = c
			}
		}
		return true
	})
	if !ok || !found.Defined() {
		return cid.Undef, false
	}
	u, ok := decodeUnixfs(data)
	return found, ok && u.kind == unixfsDirectory
}

// fileData returns the content of a file that has no links.
func fileData(node []byte) ([]byte, bool) {
	var data []byte
	ok := eachField(node, func(number protowire.Number, value []byte) bool {
		data = value
		return number == nodeData
	})
	if !ok {
		return nil, false
	}
	u, ok := decodeUnixfs(data)
	return u.data, ok && u.kind == unixfsIsFile && u.size == uint64(len(u.data))
}

func decodeLink(link []byte) (hash, name []byte, ok bool) {
	ok = eachField(link, func(number protowire.Number, value []byte) bool {
		switch number {
		case linkHash:
			hash = value
		case linkName:
			name = value
		}
		return true
	})
	return hash, name, ok && hash != nil
}

// unixfs is the message of a plain node: without mode, time and block sizes.
type unixfs struct {
	kind, size uint64
	data       []byte
}

func decodeUnixfs(message []byte) (u unixfs, ok bool) {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return unixfs{}, false
		}
		message = message[n:]
		switch {
		case kind == protowire.VarintType && (number == unixfsType || number == unixfsFileSize):
			var value uint64
			if value, n = protowire.ConsumeVarint(message); number == unixfsType {
				u.kind = value
			} else {
				u.size = value
			}
		case kind == protowire.BytesType && number == unixfsData:
			u.data, n = protowire.ConsumeBytes(message)
		default:
			return unixfs{}, false
		}
		if n < 0 {
			return unixfs{}, false
		}
		message = message[n:]
	}
	return u, true
}

// eachField calls visit with the fields of a message until it returns false.
// Varints, which dag-pb has only as the size in a link, are passed over.
func eachField(message []byte, visit func(number protowire.Number, value []byte) bool) bool {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return false
		}
		message = message[n:]
		switch kind {
		case protowire.VarintType:
			_, n = protowire.ConsumeVarint(message)
		case protowire.BytesType:
			var value []byte
			if value, n = protowire.ConsumeBytes(message); n >= 0 && !visit(number, value) {
				return false
			}
		default:
			return false
		}
		if n < 0 {
			return false
		}
		message = message[n:]
	}
	return true
}
