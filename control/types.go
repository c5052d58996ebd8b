package control

import (
	"time"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/node"
	"github.com/p2pnode/p2pnode/unixfs"
)

// Identity is who the node is and where it is reached.
type Identity struct {
	ID    string   `json:"id"`
	Addrs []string `json:"addrs"` // multiaddrs with /p2p/ID; empty offline
}

// Status is what runs.
type Status struct {
	ID      string   `json:"id"`
	PID     int      `json:"pid"`
	Version string   `json:"version"`
	Repo    string   `json:"repo"`
	Network string   `json:"network"`
	Gateway string   `json:"gateway,omitempty"` // URL; empty when it is off
	Addrs   []string `json:"addrs"`
	Peers   int      `json:"peers"`
	UpNS    int64    `json:"up_ns"` // since the start, in nanoseconds

	Limits node.Limits `json:"limits"`
}

// Item is a file or directory: added, or the entry of a directory.
type Item struct {
	Cid     string    `json:"cid"`
	Name    string    `json:"name"`            // slash-separated, "" for the root
	Size    uint64    `json:"size"`            // bytes of the file
	Tsize   uint64    `json:"tsize,omitempty"` // bytes of all blocks below
	Type    string    `json:"kind"`            // file, directory, symlink, unknown
	Mode    uint32    `json:"mode,omitempty"`  // permission bits, if recorded
	ModTime time.Time `json:"mtime,omitzero"`  // if recorded
}

func itemOf(name string, l unixfs.Link) Item {
	return Item{Cid: l.Cid.String(), Name: name, Size: l.Size, Tsize: l.Tsize,
		Type: l.Type.String(), Mode: uint32(l.Mode.Perm()), ModTime: l.ModTime}
}

// Pin is a pinned root.
type Pin struct {
	Cid     string    `json:"cid"`
	Name    string    `json:"name,omitempty"`
	Created time.Time `json:"created,omitzero"`
}

// Progress is how far a call is. Zero means unknown or none yet.
type Progress struct {
	Bytes  int64  `json:"bytes"`
	Total  int64  `json:"total,omitempty"` // bytes
	Blocks int64  `json:"blocks,omitempty"`
	Peers  int    `json:"peers"`
	Phase  string `json:"phase,omitempty"` // what it waits for
	// Of what is fetched as a whole, once it is known: the pieces that carry its content.
	Pieces     int `json:"pieces,omitempty"`
	PiecesHere int `json:"pieces_here,omitempty"`
	// PiecesAsked are on their way: peers are asked for them.
	PiecesAsked int      `json:"pieces_asked,omitempty"`
	Sources     []Source `json:"sources,omitempty"` // who has sent most first
}

// Source is a peer that something came from, or is to come from.
type Source struct {
	Peer        string  `json:"peer"`
	Bytes       int64   `json:"bytes"` // that came
	PiecesAsked int     `json:"pieces_asked,omitempty"`
	Rate        float64 `json:"rate,omitempty"` // bytes/s at which it sends
}

// Peers are the connected peers.
type Peers struct {
	Peers []node.PeerInfo `json:"peers"`
}

// Provider is a peer that says it has something.
type Provider struct {
	ID    string   `json:"id"`
	Addrs []string `json:"addrs"`
}

// Offer is content that a peer offers.
type Offer struct {
	CID  string `json:"cid"`
	Size int64  `json:"size"` // bytes of all blocks, as the peer says
	Peer string `json:"peer"`
}

// Roots are the roots of an imported archive.
type Roots struct {
	Roots []string `json:"roots"`
}

func rootsOf(cids []cid.Cid) Roots {
	r := Roots{Roots: []string{}}
	for _, c := range cids {
		r.Roots = append(r.Roots, c.String())
	}
	return r
}
