package main

import (
	"errors"
	"io/fs"
	"path"
	"strings"
)

// makeLinks makes the symbolic links, whose targets must lie inside.
func (x *extraction) makeLinks() error {
	root := x.folders[0].root
	for _, l := range x.links {
		if !staysInside(l.path, l.target) {
			return &nameError{Path: l.path, What: "link to " + l.target + ", which leads outside"}
		}
		if err := root.Symlink(l.target, l.path); err != nil {
			if !errors.Is(err, fs.ErrExist) {
				return err
			}
			// A link is replaced, as a file is; anything else stays.
			if info, statErr := root.Lstat(l.path); statErr != nil || info.Mode()&fs.ModeSymlink == 0 {
				return err
			}
			if err := errors.Join(root.Remove(l.path), root.Symlink(l.target, l.path)); err != nil {
				return err
			}
		}
	}
	return nil
}

// staysInside tells whether a link at name to target leads to a place below the
// root whatever other such links there are. A ".." is allowed at the beginning
// only, where it goes up from real folders: behind the name of another link it
// would go up from wherever that leads.
func staysInside(name, target string) bool {
	if target == "" || path.IsAbs(target) || strings.ContainsAny(target, "\x00\\:") {
		return false
	}
	depth := strings.Count(name, "/") // folders above the link
	down := false
	for part := range strings.SplitSeq(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if depth--; down || depth < 0 {
				return false
			}
		default:
			down = true
		}
	}
	return true
}
