package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// entry is one entry of an archive that a test makes.
type entry struct {
	name, text string
	link       string
	dir        bool
	mode       int64
	mtime      time.Time
}

func dirEntry(name string) entry { return entry{name: name, dir: true} }

func archiveOf(t *testing.T, entries ...entry) *tar.Reader {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: tar.TypeReg, Size: int64(len(e.text)), Mode: e.mode, ModTime: e.mtime, Format: tar.FormatPAX}
		switch {
		case e.dir:
			h.Typeflag = tar.TypeDir
		case e.link != "":
			h.Typeflag, h.Linkname = tar.TypeSymlink, e.link
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return tar.NewReader(&buf)
}

// files lists what lies below dir, folders with a slash.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, name)
		if rel = filepath.ToSlash(rel); d != nil && d.IsDir() {
			rel += "/"
		}
		if rel != "./" {
			names = append(names, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func extract(a archive, out string, symlinks bool) (extracted, error) {
	x := &extraction{tree: a, meter: &meter{}, symlinks: symlinks}
	return x.run(out, "base")
}

// Whatever a directory is called inside, nothing lands outside of the target,
// and nothing half-written stays.
func TestHostileNames(t *testing.T) {
	for what, entries := range map[string][]entry{
		"parent":                 {dirEntry("."), {name: "../escaped", text: "x"}},
		"parent of a folder":     {dirEntry("."), dirEntry("a"), {name: "a/../../escaped", text: "x"}},
		"absolute":               {dirEntry("."), {name: "/escaped", text: "x"}},
		"empty name":             {dirEntry("."), dirEntry("a"), {name: "a//b", text: "x"}},
		"the folder itself":      {dirEntry("."), {name: "./.", text: "x"}},
		"two of a name":          {dirEntry("."), {name: "a", text: "1"}, {name: "a", text: "2"}},
		"file and folder":        {dirEntry("."), {name: "a", text: "1"}, dirEntry("a")},
		"folder not announced":   {dirEntry("."), {name: "a/b", text: "x"}},
		"folder left and back":   {dirEntry("."), dirEntry("a"), dirEntry("b"), {name: "a/late", text: "x"}},
		"the temporary name":     {dirEntry("."), {name: tempPrefix + "x", text: "x"}},
		"name of 256 bytes":      {dirEntry("."), {name: strings.Repeat("n", 256), text: "x"}},
		"through a link":         {dirEntry("."), {name: "a", link: ".."}, {name: "a/escaped", text: "x"}},
		"link to a parent":       {dirEntry("."), {name: "a", link: "../escaped"}},
		"link to an absolute":    {dirEntry("."), {name: "a", link: "/etc/passwd"}},
		"link that climbs late":  {dirEntry("."), {name: "a", link: "b/../../escaped"}},
		"link over another link": {dirEntry("."), dirEntry("d"), {name: "d/up", link: ".."}, {name: "l", link: "d/up/.."}},
		"device":                 {dirEntry("."), {name: "a"}, {name: "ok", text: "x"}},
	} {
		t.Run(what, func(t *testing.T) {
			parent := t.TempDir()
			out := filepath.Join(parent, "out")
			a := archive(archiveOf(t, entries...))
			if what == "device" {
				a = devices{a}
			}
			if _, err := extract(a, out, true); err == nil {
				t.Errorf("no error; wrote %v", files(t, parent))
			}
			for _, name := range files(t, parent) {
				if !strings.HasPrefix(name, "out/") || strings.Contains(name, tempPrefix) || strings.HasSuffix(name, "escaped") {
					t.Errorf("left %s", name)
				}
			}
		})
	}
}

// devices turns empty files into devices.
type devices struct{ archive }

func (d devices) Next() (*tar.Header, error) {
	h, err := d.archive.Next()
	if err == nil && h.Typeflag == tar.TypeReg && h.Size == 0 {
		h.Typeflag = tar.TypeChar
	}
	return h, err
}

func TestExtractTree(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	when := time.Date(2001, 2, 3, 4, 5, 6, 789, time.UTC)
	done, err := extract(archiveOf(t,
		entry{name: ".", dir: true, mode: 0o700},
		entry{name: "a", text: "alpha", mode: 0o6640, mtime: when},
		dirEntry("d"),
		entry{name: "d/b", text: "beta"},
		entry{name: "d/up", link: "../a"},
		entry{name: "z", text: ""},
	), out, true)
	if err != nil {
		t.Fatal(err)
	}
	if done.Files != 3 || done.Bytes != 9 || done.Skipped != 0 {
		t.Errorf("done: %+v", done)
	}
	if got, want := files(t, out), []string{"a", "d/", "d/b", "d/up", "z"}; !slices.Equal(got, want) {
		t.Errorf("wrote %v, want %v", got, want)
	}
	info, err := os.Stat(filepath.Join(out, "a"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o640 { // without setuid and setgid
		t.Errorf("mode %v", info.Mode())
	}
	if !info.ModTime().Equal(when) {
		t.Errorf("time %v", info.ModTime())
	}
	if text, err := os.ReadFile(filepath.Join(out, "d", "up")); string(text) != "alpha" {
		t.Errorf("link: %q, %v", text, err)
	}
}

func TestLinksAreSkipped(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	done, err := extract(archiveOf(t, dirEntry("."), entry{name: "l", link: "/etc/passwd"}), out, false)
	if err != nil || done.Skipped != 1 || len(files(t, out)) != 0 {
		t.Errorf("%+v, %v, wrote %v", done, err, files(t, out))
	}
}

// A transfer that breaks off leaves what was whole, and no part of what was not.
func TestBrokenTransferLeavesNoPart(t *testing.T) {
	broken := errors.New("peer went away")
	out := filepath.Join(t.TempDir(), "out")
	a := archiveOf(t, dirEntry("."), entry{name: "whole", text: "x"}, entry{name: "half", text: strings.Repeat("y", 3<<20)})
	if _, err := extract(&breaking{archive: a, left: 2 << 20, err: broken}, out, false); !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
	if got := files(t, out); !slices.Equal(got, []string{"whole"}) {
		t.Errorf("left %v", got)
	}
}

// TestExtractLargeFile: what is written around the page cache arrives like all else,
// or leaves nothing.
func TestExtractLargeFile(t *testing.T) {
	dir := t.TempDir()
	text := strings.Repeat("large ", directSizeMin/6+7)
	if _, err := extract(archiveOf(t, entry{name: ".", text: text}), filepath.Join(dir, "whole"), false); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "whole")); err != nil || string(got) != text {
		t.Errorf("wrote %d of %d bytes, %v", len(got), len(text), err)
	}
	for _, cause := range []error{errors.New("peer went away"), io.ErrUnexpectedEOF} {
		a := &breaking{archive: archiveOf(t, entry{name: ".", text: text}), left: directSizeMin / 2, err: cause}
		if _, err := extract(a, filepath.Join(dir, "half"), false); !errors.Is(err, cause) {
			t.Errorf("got %v, want %v", err, cause)
		}
	}
	if got := files(t, dir); !slices.Equal(got, []string{"whole"}) {
		t.Errorf("left %v", got)
	}
}

// breaking fails after so many bytes.
type breaking struct {
	archive
	left int
	err  error
}

func (b *breaking) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, b.err
	}
	n, err := b.archive.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// What is there already is replaced or merged, never followed.
func TestExtractOverWhatIsThere(t *testing.T) {
	parent := t.TempDir()
	out, outside := filepath.Join(parent, "out"), filepath.Join(parent, "outside")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(out, "d"), 0o755))
	must(os.WriteFile(outside, []byte("precious"), 0o644))
	must(os.WriteFile(filepath.Join(out, "old"), []byte("old"), 0o644))
	must(os.Symlink(outside, filepath.Join(out, "link")))
	must(os.Symlink(parent, filepath.Join(out, "away")))

	_, err := extract(archiveOf(t, dirEntry("."), dirEntry("d"), entry{name: "d/new", text: "1"},
		entry{name: "link", text: "2"}, entry{name: "old", text: "3"}), out, false)
	must(err)
	if text, _ := os.ReadFile(outside); string(text) != "precious" {
		t.Errorf("wrote through a link: %q", text)
	}
	if text, _ := os.ReadFile(filepath.Join(out, "link")); string(text) != "2" {
		t.Errorf("link: %q", text)
	}
	if _, err := extract(archiveOf(t, dirEntry("."), dirEntry("away"), entry{name: "away/x", text: "1"}), out, false); err == nil {
		t.Error("a link was taken for a folder")
	}
	if _, err := extract(archiveOf(t, dirEntry("."), dirEntry("old")), out, false); err == nil {
		t.Error("a file was taken for a folder")
	}
}

func TestExtractFile(t *testing.T) {
	dir := t.TempDir()
	for _, out := range []string{filepath.Join(dir, "new"), filepath.Join(dir, "new"), dir} {
		if _, err := extract(archiveOf(t, entry{name: ".", text: "x"}), out, false); err != nil {
			t.Fatal(err)
		}
	}
	if got := files(t, dir); !slices.Equal(got, []string{"base", "new"}) {
		t.Errorf("wrote %v", got)
	}
	if _, err := extract(archiveOf(t, entry{name: ".", text: "x"}), filepath.Join(dir, "no", "where"), false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing folder: %v", err)
	}
}

func TestStaysInside(t *testing.T) {
	for _, test := range []struct {
		name, target string
		want         bool
	}{
		{"l", "a", true}, {"l", "./a/b", true}, {"d/l", "../a", true}, {"d/l", "..", true}, {"d/e/l", "../../a", true},
		{"l", "..", false}, {"d/l", "../..", false}, {"l", "", false}, {"l", "/a", false},
		{"d/l", "a/..", false}, {"l", `a\b`, false}, {"l", "c:a", false}, {"l", "a\x00b", false},
	} {
		if got := staysInside(test.name, test.target); got != test.want {
			t.Errorf("%s to %q: %v", test.name, test.target, got)
		}
	}
}

// FuzzExtract makes sure that no archive writes outside of its target.
func FuzzExtract(f *testing.F) {
	f.Add("a", "b", "..")
	f.Add("../x", "a/b", "/")
	f.Add("a", "a", "a/../..")
	f.Fuzz(func(t *testing.T, first, second, target string) {
		parent := t.TempDir()
		a := &list0{headers: []*tar.Header{
			{Name: ".", Typeflag: tar.TypeDir}, {Name: first, Typeflag: tar.TypeDir},
			{Name: second, Typeflag: tar.TypeSymlink, Linkname: target}, {Name: first + "/" + second, Typeflag: tar.TypeReg},
		}}
		_, _ = extract(a, filepath.Join(parent, "out"), true) // most are refused
		for _, name := range files(t, parent) {
			if !strings.HasPrefix(name, "out/") {
				t.Errorf("left %s", name)
			}
		}
		_ = filepath.WalkDir(filepath.Join(parent, "out"), func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.Type()&fs.ModeSymlink == 0 {
				return err
			}
			if real, err := filepath.EvalSymlinks(name); err == nil && !strings.HasPrefix(real, filepath.Join(parent, "out")) {
				t.Errorf("%s leads to %s", name, real)
			}
			return nil
		})
	})
}

// list0 is an archive of empty entries.
type list0 struct{ headers []*tar.Header }

func (l *list0) Next() (*tar.Header, error) {
	if len(l.headers) == 0 {
		return nil, io.EOF
	}
	h := l.headers[0]
	l.headers = l.headers[1:]
	return h, nil
}

func (l *list0) Read([]byte) (int, error) { return 0, io.EOF }
