// Package det makes simulations repeatable to the bit: it has the program built
// with a Go runtime whose scheduler and random generators depend on a seed alone,
// and runs that instead.
//
// The runtime is patched from the installed Go when it is needed, by `go build
// -overlay`; nothing of Go is kept here, and nothing installed is changed. It is
// not for the product: it runs on one processor, preempts nobody, and its random
// numbers can be foretold.
//
// What repeats is a binary with the same arguments on the same kind of machine: maps
// whose keys are pointers are in the order of addresses, so all that is in the heap
// takes part. The clock, other programs and the garbage collector do not.
//
// Invariant: a patch is applied where it was meant to be, or not at all. Its anchor
// stands in the file exactly once, else there is an *AnchorError and no overlay.
package det

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// PeerLabel is the profiler label that names the peer to which a goroutine belongs, by
// its number. Those that it starts have it too.
const PeerLabel = "peer"

// ErrPlain tells that something needs the patched runtime.
var ErrPlain = errors.New("needs -det: the Go runtime is not patched")

// AnchorError tells that this Go is not one that the patches are for.
type AnchorError struct {
	File   string // below GOROOT/src, such as runtime/proc.go
	Anchor string // the text to be replaced
	Count  int    // how often it is there
}

func (e *AnchorError) Error() string {
	return fmt.Sprintf("patch %s: %q is there %d times, want once", e.File, e.Anchor, e.Count)
}

// Generate writes patched files of the Go under goroot into dir, and an overlay for
// `go build -overlay` that puts them in place of the originals. What it writes
// depends on nothing but these files.
func Generate(goroot, dir string) (overlay string, err error) {
	files, err := patched(goroot)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make folder of overlay: %w", err)
	}
	replace := make(map[string]string)
	for file, text := range files {
		to := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := write(to, text); err != nil {
			return "", err
		}
		replace[source(goroot, file)] = to
	}
	text, err := json.MarshalIndent(map[string]any{"Replace": replace}, "", "  ")
	if err != nil {
		return "", fmt.Errorf("encode overlay: %w", err)
	}
	overlay = filepath.Join(dir, "overlay.json")
	return overlay, write(overlay, text)
}

// write replaces a file whole, for others may be building from it; or leaves it be.
func write(path string, text []byte) error {
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, text) {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write overlay: %w", err)
	}
	defer os.Remove(f.Name()) // unless it has been renamed
	_, err = f.Write(text)
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write overlay: %w", err)
	}
	return nil
}

// source is the path of a file of the standard library.
func source(goroot, file string) string {
	return filepath.Join(goroot, "src", filepath.FromSlash(file))
}

// patched returns the changed files, by what they are called below GOROOT/src.
func patched(goroot string) (map[string][]byte, error) {
	files := make(map[string][]byte)
	for _, p := range patches() {
		text, ok := files[p.file]
		if !ok {
			var err error
			if text, err = os.ReadFile(source(goroot, p.file)); err != nil {
				return nil, fmt.Errorf("patch Go: %w", err)
			}
		}
		text, err := p.apply(text)
		if err != nil {
			return nil, err
		}
		files[p.file] = text
	}
	return files, nil
}

func (p patch) apply(text []byte) ([]byte, error) {
	if n := bytes.Count(text, []byte(p.anchor)); n != 1 {
		return nil, &AnchorError{File: p.file, Anchor: p.anchor, Count: n}
	}
	return bytes.Replace(text, []byte(p.anchor), []byte(p.with), 1), nil
}

// fingerprint is a short name for the patches and the version of Go.
func fingerprint(version string) string {
	var all strings.Builder
	for _, p := range patches() {
		fmt.Fprintf(&all, "%q %q %q\n", p.file, p.anchor, p.with)
	}
	return version + "-" + shortHash(all.String())
}

func shortHash(text string) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:6])
}
