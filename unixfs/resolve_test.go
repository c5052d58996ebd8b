package unixfs_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/unixfs"
	"github.com/p2pnode/p2pnode/unixfs/build"
)

func TestParsePath(t *testing.T) {
	const c = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
	for in, want := range map[string]string{
		c:                                     "/ipfs/" + c,
		c + "/a/b":                            "/ipfs/" + c + "/a/b",
		"/ipfs/" + c + "/":                    "/ipfs/" + c,
		"/ipfs/" + c + "//a b/%20/":           "/ipfs/" + c + "/a b/%20",
		"ipfs://" + c + "/a%20b/ż":            "/ipfs/" + c + "/a b/ż",
		"ipfs://" + c + "?x=1":                "/ipfs/" + c,
		"ipfs://" + c + "/a?x=1#b":            "/ipfs/" + c + "/a",
		"/ipfs/" + c + "/what?":               "/ipfs/" + c + "/what?",
		"":                                    "",
		"/":                                   "",
		"/ipfs/":                              "",
		"/ipns/" + c:                          "",
		"/" + c:                               "",
		"hello":                               "",
		c + "/../x":                           "",
		c + "/./x":                            "",
		c + "/a\x00":                          "",
		"ipfs://" + c + "/%2e%2e/x":           "",
		"ipfs://" + c + "/a%2fb":              "",
		"ipfs://" + c + "/%zz":                "",
		c + strings.Repeat("/a", 2000):        "",
		c + strings.Repeat("/a", 99999):       "",
		"bafkqaaa" + strings.Repeat("a", 500): "",
	} {
		p, err := unixfs.ParsePath(in)
		var bad *unixfs.PathError
		if want == "" && !errors.As(err, &bad) || want != "" && (err != nil || p.String() != want) {
			t.Errorf("%.80q: %q, %v, want %q", in, p, err, want)
		}
	}
}

func TestResolve(t *testing.T) {
	ctx := context.Background()
	for _, p := range []build.Profile{build.V1_2025, build.V0_2015, tiny()} {
		m := newMemory()
		root, want := forest(t, m, p)
		for path, body := range want {
			var names []string
			if path != "" {
				names = strings.Split(path, "/")
			}
			l, err := unixfs.Resolve(ctx, m, unixfs.Path{Root: root.Cid, Segments: names})
			if err != nil || l.Type != unixfs.TypeDir && l.Size != uint64(len(body)) {
				t.Errorf("%s: %+v, %v", path, l, err)
			}
		}
		_, err := unixfs.Resolve(ctx, m, unixfs.Path{Root: root.Cid, Segments: []string{"d4", "nobody", "x"}})
		var no *unixfs.NoLinkError
		if !errors.As(err, &no) || no.Name != "nobody" || !strings.HasSuffix(no.Path, "/d4/nobody") {
			t.Errorf("missing entry: %v", err)
		}
		_, err = unixfs.Resolve(ctx, m, unixfs.Path{Root: root.Cid, Segments: []string{"d4", "a file of number 7", "x"}})
		var notDir *unixfs.NotDirError
		if !errors.As(err, &notDir) || !strings.HasSuffix(notDir.Path, "/a file of number 7") {
			t.Errorf("below a file: %v", err)
		}
		l := must[unixfs.Link](t)(unixfs.Resolve(ctx, m, unixfs.Path{Root: root.Cid, Segments: []string{"d4"}}))
		m.drop(l.Cid)
		_, err = unixfs.Resolve(ctx, m, unixfs.Path{Root: root.Cid, Segments: []string{"d4", "x"}})
		if !errors.Is(err, block.ErrNotFound) || !strings.Contains(err.Error(), l.Cid.String()) || !strings.Contains(err.Error(), "/d4") {
			t.Errorf("missing block: %v", err)
		}
	}
}

func TestList(t *testing.T) {
	ctx := context.Background()
	for _, p := range []build.Profile{build.V1_2025, tiny()} {
		m := newMemory()
		root, want := forest(t, m, p)
		d4 := must[unixfs.Link](t)(unixfs.Resolve(ctx, m, unixfs.Path{Root: root.Cid, Segments: []string{"d4"}}))
		n := 0
		for l, err := range unixfs.List(ctx, m, d4.Cid) {
			body, ok := want["d4/"+l.Name]
			if err != nil || !ok || l.Size != uint64(len(body)) || l.Type == unixfs.TypeUnknown {
				t.Errorf("%+v, %v", l, err)
			}
			n++
		}
		if n != 162 {
			t.Errorf("%d entries", n)
		}
		s := &slow{g: m, latency: fixed(0)}
		n = 0
		for l, err := range unixfs.Names(ctx, s, root.Cid) {
			if err != nil || !l.Cid.Defined() || l.Tsize == 0 {
				t.Errorf("%+v, %v", l, err)
			}
			n++
		}
		if asked, _ := s.counts(); n != 6 || asked != 1 {
			t.Errorf("%d names by %d blocks", n, asked)
		}
		m.drop(d4.Cid)
		n = 0
		for l, err := range unixfs.List(ctx, m, root.Cid) {
			if (l.Name == "d4") != errors.Is(err, block.ErrNotFound) {
				t.Errorf("%+v, %v", l, err)
			}
			n++
		}
		if n != 6 {
			t.Errorf("%d entries, one of which is missing", n)
		}
		for _, err := range unixfs.List(ctx, m, must[unixfs.Link](t)(build.Symlink(ctx, m, "x", build.Options{})).Cid) {
			var notDir *unixfs.NotDirError
			if !errors.As(err, &notDir) {
				t.Errorf("list of a symlink: %v", err)
			}
		}
	}
}

func TestStatSurvives(t *testing.T) {
	ctx := context.Background()
	mode, mtime := fs.FileMode(0o750)|fs.ModeSetgid|fs.ModeSticky, time.Unix(1700000000, 987654321)
	for _, p := range []build.Profile{build.V1_2025, build.V0_2015} {
		m := newMemory()
		tree := build.NewTree(m, build.Options{Profile: p})
		if err := tree.Dir("", mode, mtime); err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{0, 1, 5 << 20} {
			must[unixfs.Link](t)(tree.File(ctx, fmt.Sprint(size), content(size), mode, mtime))
		}
		must[unixfs.Link](t)(tree.Symlink(ctx, "link", "target", mtime))
		visited := ""
		root := must[unixfs.Link](t)(tree.Finish(ctx, func(path string, l unixfs.Link) { visited += path + "." }))
		if visited != "." {
			t.Errorf("visited %q", visited)
		}
		w := unixfs.NewWalker(ctx, m, root.Cid, unixfs.WalkOptions{})
		defer w.Close()
		for range 5 {
			e := must[*unixfs.Entry](t)(w.Next())
			if !e.ModTime.Equal(mtime) || e.Type != unixfs.TypeSymlink && e.Mode != mode {
				t.Errorf("%s: %v %v", e.Path, e.Mode, e.ModTime)
			}
		}
	}
}
