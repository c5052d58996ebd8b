package wiretap

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/p2pnode/p2pnode/exchange/frame"
)

// schema says what is counted of a message.
type schema struct {
	// name is the message's type, by its varint fields. Nil: it is not counted itself.
	name func(fields map[protowire.Number]uint64) string
	// parts are fields that hold messages which are counted by themselves.
	parts map[protowire.Number]schema
	// frames says that there is no protobuf, but frames of the swarm protocol.
	frames bool
}

// schemaOf is how messages of a protocol are counted; ok is false if it is not known.
func schemaOf(protocol string) (s schema, ok bool) {
	switch {
	case strings.HasSuffix(protocol, "/kad/1.0.0"):
		return schema{name: kadType}, true
	case strings.HasPrefix(protocol, "/meshsub/"):
		return gossipsub(), true
	case strings.HasPrefix(protocol, "/ipfs/bitswap"):
		return bitswap(), true
	case protocol == frame.Protocol:
		return schema{frames: true}, true
	case strings.HasPrefix(protocol, "/ipfs/id/"):
		return schema{name: always("identify")}, true
	}
	return schema{}, false
}

func always(name string) func(map[protowire.Number]uint64) string {
	return func(map[protowire.Number]uint64) string { return name }
}

// kadType is a Kademlia message's: requests and answers have the same.
func kadType(fields map[protowire.Number]uint64) string {
	names := []string{"PUT_VALUE", "GET_VALUE", "ADD_PROVIDER", "GET_PROVIDERS", "FIND_NODE", "PING"}
	if t := fields[1]; t < uint64(len(names)) {
		return names[t]
	}
	return fmt.Sprint("type ", fields[1])
}

// gossipsub counts what an RPC holds.
func gossipsub() schema {
	control := map[protowire.Number]schema{
		1: {name: always("IHAVE")}, 2: {name: always("IWANT")}, 3: {name: always("GRAFT")},
		4: {name: always("PRUNE")}, 5: {name: always("IDONTWANT")},
	}
	return schema{parts: map[protowire.Number]schema{
		1: {name: always("subscription")},
		2: {name: always("message")},
		3: {parts: control},
	}}
}

// bitswap counts what a message holds, of version 1.2 and before.
func bitswap() schema {
	entry := schema{name: func(fields map[protowire.Number]uint64) string {
		const cancel, wantType = 3, 4
		switch {
		case fields[cancel] != 0:
			return "CANCEL"
		case fields[wantType] != 0:
			return "WANT_HAVE"
		}
		return "WANT_BLOCK"
	}}
	presence := schema{name: func(fields map[protowire.Number]uint64) string {
		if fields[2] != 0 {
			return "DONT_HAVE"
		}
		return "HAVE"
	}}
	return schema{parts: map[protowire.Number]schema{
		1: {parts: map[protowire.Number]schema{1: entry}},
		2: {name: always("block")}, // before version 1.1
		3: {name: always("block")},
		4: presence,
	}}
}
