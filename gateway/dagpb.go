package gateway

import (
	"github.com/ipfs/go-cid"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/p2pnode/p2pnode/block"
)

// Tags of dag-pb (PBNode, PBLink) and of the UnixFS message in its data: field
// number and wire type, which fit one byte. What is here takes nodes only as
// every encoder of today writes them, each field once and in order. All else,
// legal or not, is left to boxo.
const (
	nodeData  = 1<<3 | byte(protowire.BytesType)
	nodeLinks = 2<<3 | byte(protowire.BytesType)

	linkHash  = 1<<3 | byte(protowire.BytesType)
	linkName  = 2<<3 | byte(protowire.BytesType)
	linkTsize = 3<<3 | byte(protowire.VarintType)

	unixfsType     = 1<<3 | byte(protowire.VarintType)
	unixfsData     = 2<<3 | byte(protowire.BytesType)
	unixfsFileSize = 3<<3 | byte(protowire.VarintType)

	typeDirectory, typeFile, typeShard = 1, 2, 5
)

// mayList tells whether b may be a directory or a shard of one: what is not
// understood may be.
func mayList(b block.Block) bool {
	if b.Cid().Type() != cid.DagProtobuf {
		return false
	}
	data, ok := decodeNode(b.RawData(), nil)
	if !ok {
		return true
	}
	kind, _, ok := varintField(data, unixfsType) // what else there is need not be understood
	return !ok || kind == typeDirectory || kind == typeShard
}

// findLink returns where name leads in a directory that is not sharded.
func findLink(node []byte, name string) (cid.Cid, bool) {
	var found cid.Cid
	data, ok := decodeNode(node, func(c []byte, this []byte) bool {
		target, err := cid.Cast(c)
		if err == nil && string(this) == name && !found.Defined() {
			found = target
		}
		return err == nil
	})
	if !ok || !found.Defined() {
		return cid.Undef, false
	}
	kind, rest, ok := varintField(data, unixfsType)
	return found, ok && kind == typeDirectory && len(rest) == 0
}

// fileData returns the content of a file that has no links, and neither mode
// nor time.
func fileData(node []byte) ([]byte, bool) {
	data, ok := decodeNode(node, func([]byte, []byte) bool { return false })
	if !ok {
		return nil, false
	}
	kind, rest, ok := varintField(data, unixfsType)
	if !ok || kind != typeFile {
		return nil, false
	}
	content, rest, _ := bytesField(rest, unixfsData)
	size, rest, ok := varintField(rest, unixfsFileSize)
	return content, ok && len(rest) == 0 && size == uint64(len(content))
}

// decodeNode calls visit, if there is one, with CID and name of every link
// until it returns false, and returns the data.
func decodeNode(node []byte, visit func(c, name []byte) bool) (data []byte, ok bool) {
	for {
		link, rest, ok := bytesField(node, nodeLinks)
		if !ok {
			break
		}
		node = rest
		if visit == nil {
			continue
		}
		c, link, ok := bytesField(link, linkHash)
		if !ok {
			return nil, false
		}
		name, link, _ := bytesField(link, linkName)
		_, link, _ = varintField(link, linkTsize)
		if len(link) > 0 || !visit(c, name) {
			return nil, false
		}
	}
	data, node, ok = bytesField(node, nodeData)
	return data, ok && len(node) == 0
}

// bytesField returns the field that message begins with, and what follows it.
// Where it begins with another, ok is false and message is what follows.
func bytesField(message []byte, tag byte) (value, rest []byte, ok bool) {
	if len(message) == 0 || message[0] != tag {
		return nil, message, false
	}
	value, n := protowire.ConsumeBytes(message[1:])
	if n < 0 {
		return nil, message, false
	}
	return value, message[1+n:], true
}

// varintField is bytesField for a number.
func varintField(message []byte, tag byte) (value uint64, rest []byte, ok bool) {
	if len(message) == 0 || message[0] != tag {
		return 0, message, false
	}
	value, n := protowire.ConsumeVarint(message[1:])
	if n < 0 {
		return 0, message, false
	}
	return value, message[1+n:], true
}
