package gateway

import (
	"errors"
	"io"

	"github.com/ipfs/boxo/files"
)

// errShort means a file that ends before the size that its root claims.
var errShort = errors.New("a file is shorter than it claims")

// whole makes the files in n fail where they end too early: boxo's archiver
// would go on, with an archive that cannot be read.
func whole(n files.Node) files.Node {
	switch n := n.(type) {
	case *files.Symlink:
		return n
	case files.File:
		return &wholeFile{File: n}
	case files.Directory:
		return wholeDir{n}
	}
	return n
}

type wholeFile struct {
	files.File
	read int64 // bytes
}

func (f *wholeFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.read += int64(n)
	if errors.Is(err, io.EOF) {
		if size, sizeErr := f.Size(); sizeErr == nil && f.read < size {
			return n, errShort
		}
	}
	return n, err
}

type wholeDir struct{ files.Directory }

func (d wholeDir) Entries() files.DirIterator { return wholeEntries{d.Directory.Entries()} }

type wholeEntries struct{ files.DirIterator }

func (e wholeEntries) Node() files.Node { return whole(e.DirIterator.Node()) }
