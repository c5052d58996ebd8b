package broken_test

import (
	"errors"
	"fmt"
	"go/format"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/p2pnode/p2pnode/testground/broken"
	"github.com/p2pnode/p2pnode/testground/scenario"
)

const root = "../.."

// TestAnchors: each mistake can still be made, and makes Go of Go.
func TestAnchors(t *testing.T) {
	seen := make(map[string]bool)
	for _, b := range broken.All() {
		if seen[b.Name] || b.Doc == "" || b.Shows == "" || len(b.Edits) == 0 {
			t.Errorf("%s: twice, or incomplete", b.Name)
		}
		seen[b.Name] = true
		files, err := b.Files(root)
		if err != nil {
			t.Error(err)
		}
		for name, text := range files {
			if clean, err := format.Source(text); err != nil || string(clean) != string(text) {
				t.Errorf("%s: %s is not formatted Go: %v", b.Name, name, err)
			}
		}
		if _, err := scenario.Find(b.Scenario); err != nil {
			t.Errorf("%s: %v", b.Name, err)
		}
	}
	if len(seen) < 10 {
		t.Errorf("%d mistakes", len(seen))
	}
}

func TestAnchorError(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.go"), []byte("one two two"), 0o600); err != nil {
		t.Fatal(err)
	}
	for anchor, count := range map[string]int{"two": 2, "three": 0} {
		_, err := broken.Bug{Edits: []broken.Edit{{File: "a.go", Anchor: anchor}}}.Files(dir)
		if e := new(broken.AnchorError); !errors.As(err, &e) || e.Count != count {
			t.Errorf("%s: got %v", anchor, err)
		}
	}
	if _, err := (broken.Bug{Edits: []broken.Edit{{File: "b.go"}}}).Files(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// TestCompile: every mistake is one that a compiler does not find.
func TestCompile(t *testing.T) {
	dir := t.TempDir()
	for _, b := range broken.All() {
		t.Run(b.Name, func(t *testing.T) {
			if err := b.Check(t.Context(), root, dir); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDocs: the list for people is this one.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "testing.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(string(text), "\n")
	for _, b := range broken.All() {
		row := fmt.Sprintf("| `%s` | %s | `%s`, %d peers, seed %d |", b.Name, b.Doc, b.Scenario, b.Peers, b.Seed)
		if !slices.Contains(rows, row) {
			t.Errorf("it lacks\n%s", row)
		}
	}
}
