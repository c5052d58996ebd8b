// Package unixfs reads files and directories that are DAGs of blocks.
//
// All reading goes through one ordered parallel walk (walk.go): blocks are asked
// for ahead of the reader, across files and directories alike, and handed out in
// depth-first order. Walker, List, File and Fetch are thin users of it; Resolve
// follows a Path from block to block.
//
// What a single block says is for unixfs/codec to decode, where an entry of a
// HAMT belongs for unixfs/shard to tell; unixfs/build makes what is read here.
// The package is not a store and not a network: blocks come from a block.Getter.
// It has no clock. It starts goroutines to keep Gets in flight; Close, or the
// end of the context, ends them.
//
// Invariant: nothing a stranger has built makes it allocate without bound,
// loop for ever or hand out more, fewer or other bytes than a node declares.
// Every count, size, depth and name is checked where a block is taken in, and a
// lie is a *codec.FormatError that names the block.
//
// Sources: the UnixFS specification (https://specs.ipfs.tech/unixfs/).
package unixfs

import (
	"io/fs"
	"time"

	"github.com/ipfs/go-cid"
)

// Limits that hold for every DAG, whoever built it.
const (
	// FileDepthMax is how many levels of nodes a file may have. Width 2 and
	// depth 64 would already be more bytes than a size can count.
	FileDepthMax = 64
	// DirDepthMax is how many directories may lie inside each other.
	DirDepthMax = 1024
	// PathSizeMax is the longest path in bytes from the root of a walk.
	PathSizeMax = 64 << 10
)

// Type says what a Link leads to.
type Type uint8

// The types. Directories are of TypeDir whether they are sharded or not.
const (
	TypeUnknown Type = iota
	TypeFile
	TypeDir
	TypeSymlink
)

// String returns the type as one lower-case word.
func (t Type) String() string {
	switch t {
	case TypeFile:
		return "file"
	case TypeDir:
		return "directory"
	case TypeSymlink:
		return "symlink"
	default:
		return "unknown"
	}
}

// Link is an entry of a directory, or a root, and what is known about it.
type Link struct {
	Name    string      // "" for a root
	Cid     cid.Cid     //
	Tsize   uint64      // bytes of all blocks below, as the parent claims
	Size    uint64      // bytes of the file, or of the target of a symlink; 0 for directories
	Type    Type        //
	Mode    fs.FileMode // permission bits; 0 means not recorded
	ModTime time.Time   // zero means not recorded
}
