package unixfs

import (
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/unixfs/codec"
)

// malformed is about a block that does not fit its place.
func malformed(c cid.Cid, format string, args ...any) error {
	return &codec.FormatError{Cid: c, What: fmt.Sprintf(format, args...)}
}

// LimitError means a DAG that is well formed but larger than the caller allows.
type LimitError struct {
	What string // what there is too much of
	Max  uint64
}

func (e *LimitError) Error() string { return fmt.Sprintf("walk: more than %d %s", e.Max, e.What) }

// PathError means text that is not a path to content.
type PathError struct{ Path, What string }

func (e *PathError) Error() string { return fmt.Sprintf("parse path %q: %s", e.Path, e.What) }

// NoLinkError means a directory without the entry that a path asks for.
type NoLinkError struct {
	Cid  cid.Cid // the directory
	Name string  // the entry that is missing
	Path string  // the path up to and including it
}

func (e *NoLinkError) Error() string {
	return fmt.Sprintf("resolve %s: no link named %q under %s", e.Path, e.Name, e.Cid)
}

// NotDirError means a path that goes on below something that has no entries,
// or a listing of it.
type NotDirError struct {
	Cid  cid.Cid
	Path string
}

func (e *NotDirError) Error() string { return fmt.Sprintf("%s (%s) is not a directory", e.Path, e.Cid) }

// NotFileError means that a directory or a symlink was opened as a file.
type NotFileError struct {
	Cid  cid.Cid
	Type Type
}

func (e *NotFileError) Error() string {
	return fmt.Sprintf("open %s: it is a %s, not a file", e.Cid, e.Type)
}
