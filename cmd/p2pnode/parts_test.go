//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestLeftOver: what a killed get has left is removed by the next one into the
// same folder, and nothing else is.
func TestLeftOver(t *testing.T) {
	dir := t.TempDir()
	old := time.Now().Add(-2 * partAgeMin)
	put := func(name string, at time.Time) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("part"), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	const stale, young = tempPrefix + "ABCDEFGHIJ", tempPrefix + "KLMNOPQRST"
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o777); err != nil {
		t.Fatal(err)
	}
	put(stale, old)
	put("sub/"+stale, old)
	put(young, time.Now())
	put(tempPrefix+"notes.txt", old)
	put("file", old)
	if err := os.Mkdir(filepath.Join(dir, tempPrefix+"UVWXYZ2345"), 0o777); err != nil {
		t.Fatal(err)
	}
	all := files(t, dir)
	get := func() {
		t.Helper()
		if _, err := extract(archiveOf(t, dirEntry("."), dirEntry("sub/")), dir, false); err != nil {
			t.Fatal(err)
		}
	}

	// Another get is at work in the folder: it has a lock, as every get has.
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	other, err := root.Open(".")
	if err != nil || !lock(other, false) {
		t.Fatalf("lock: %v", err)
	}
	get()
	all = slices.DeleteFunc(all, func(name string) bool { return name == "sub/"+stale })
	if got := files(t, dir); !slices.Equal(got, all) {
		t.Errorf("beside another get: %q, want %q", got, all)
	}

	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	get()
	all = slices.DeleteFunc(all, func(name string) bool { return name == stale })
	if got := files(t, dir); !slices.Equal(got, all) {
		t.Errorf("alone: %q, want %q", got, all)
	}
}

// TestFolderIsLocked: while a get writes, nobody has the folder alone; later,
// anybody may.
func TestFolderIsLocked(t *testing.T) {
	dir := t.TempDir()
	alone := func() bool {
		f, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		return lock(f, true)
	}
	a := &watched{archive: archiveOf(t, entry{name: ".", text: "hello"}), look: func() {
		if alone() {
			t.Error("a folder that is written to is not locked")
		}
	}}
	if _, err := extract(a, dir, false); err != nil {
		t.Fatal(err)
	}
	if a.reads == 0 || !alone() {
		t.Errorf("after %d reads the folder is still locked", a.reads)
	}
}

// watched is an archive whose reader is looked at.
type watched struct {
	archive
	look  func()
	reads int
}

func (w *watched) Read(p []byte) (int, error) {
	w.reads++
	w.look()
	return w.archive.Read(p)
}
