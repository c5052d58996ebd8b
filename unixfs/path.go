package unixfs

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
)

// Path names content: a root and the names of entries from there.
type Path struct {
	Root     cid.Cid
	Segments []string
}

// ParsePath reads CID, /ipfs/CID/a/b, CID/a/b and ipfs://CID/a/b. Only in the
// last, which is a URL, are names percent-encoded. Slashes in a row and at the
// end count for nothing. It fails with a *PathError.
func ParsePath(s string) (Path, error) {
	if len(s) > PathSizeMax {
		return Path{}, &PathError{Path: s[:64] + "…", What: fmt.Sprintf("longer than %d bytes", PathSizeMax)}
	}
	rest, isURL := strings.CutPrefix(s, "ipfs://")
	if !isURL {
		var absolute bool
		if rest, absolute = strings.CutPrefix(s, "/ipfs/"); !absolute && strings.HasPrefix(s, "/") {
			return Path{}, &PathError{Path: s, What: "an absolute path starts with /ipfs/"}
		}
	}
	if isURL {
		rest, _, _ = strings.Cut(rest, "#")
		rest, _, _ = strings.Cut(rest, "?")
	}
	root, names, _ := strings.Cut(rest, "/")
	c, err := cid.Decode(root)
	if err == nil {
		err = block.Check(c)
	}
	if err != nil {
		return Path{}, &PathError{Path: s, What: fmt.Sprintf("%q is not a CID: %v", root, err)}
	}
	p := Path{Root: c}
	for name := range strings.SplitSeq(names, "/") {
		if isURL {
			if name, err = url.PathUnescape(name); err != nil {
				return Path{}, &PathError{Path: s, What: err.Error()}
			}
		}
		if name == "" {
			continue
		}
		if what := badName(name); what != "" {
			return Path{}, &PathError{Path: s, What: what}
		}
		p.Segments = append(p.Segments, name)
	}
	if len(p.Segments) > DirDepthMax {
		return Path{}, &PathError{Path: s, What: fmt.Sprintf("more than %d names", DirDepthMax)}
	}
	return p, nil
}

// String returns the path as /ipfs/CID/a/b.
func (p Path) String() string { return p.upTo(len(p.Segments)) }

func (p Path) upTo(n int) string {
	return strings.Join(append([]string{"/ipfs", p.Root.String()}, p.Segments[:n]...), "/")
}

// SplitPath splits a path from a directory down, "" being the directory itself,
// into names. It fails with a *PathError.
func SplitPath(path string) ([]string, error) {
	if path == "" {
		return nil, nil
	}
	names := strings.Split(path, "/")
	if len(names) > DirDepthMax {
		return nil, &PathError{Path: path, What: fmt.Sprintf("more than %d names", DirDepthMax)}
	}
	for _, name := range names {
		if what := badName(name); what != "" {
			return nil, &PathError{Path: path, What: what}
		}
	}
	return names, nil
}

// badName says why no entry may have this name, if so. Such names would lead
// out of a directory that is written to disk, or could not be written at all.
func badName(name string) string {
	switch {
	case name == "":
		return "empty name"
	case name == "." || name == "..":
		return fmt.Sprintf("name %q", name)
	case strings.ContainsAny(name, "/\x00"):
		return fmt.Sprintf("name %q has a slash or a NUL", name)
	}
	return ""
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}
