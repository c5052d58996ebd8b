// Package broken holds mistakes that the product could have, and the simulation that
// finds each: the proof that simulations can fail.
//
// A mistake is made by `go build -overlay`: files of the product are changed on their
// way to the compiler, by search and replace. Nothing of it is in the product's
// source, not even behind a build tag.
//
// It is not mutation testing: the list is short, and each mistake is one that people
// make and that a simulated network must find, not a unit test.
//
// Invariant: a mistake is made where it was meant to be, or not at all. What it
// replaces stands in the file exactly once, else there is an *AnchorError.
package broken

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// Program is what there is to build.
const Program = "./testground"

// Bug is a mistake, and where it is found.
type Bug struct {
	Name  string
	Doc   string // one line: what is wrong
	Edits []Edit

	// Scenario, Peers, Seed and Set are a run that passes without the mistake, and
	// fails with it.
	Scenario string
	Peers    int
	Seed     uint64
	Set      map[string]string
	// Tries is how many runs it may take, with the seeds that follow, for the order of
	// goroutines is not the seed's; 0 is one.
	Tries int
	// Shows is what the run says then, among others, lest something else is found: a
	// regular expression.
	Shows string
}

// Edit changes a file of the module.
type Edit struct {
	File   string // from the module's root
	Anchor string
	With   string
}

// AnchorError tells that the source is not what a mistake was made for.
type AnchorError struct {
	Bug   string
	Edit  Edit
	Count int // how often the anchor is there
}

func (e *AnchorError) Error() string {
	return fmt.Sprintf("break %s: in %s, %q is there %d times, want once", e.Bug, e.Edit.File, e.Edit.Anchor, e.Count)
}

// Files returns the changed files of the module in root, by path from there.
func (b Bug) Files(root string) (map[string][]byte, error) {
	files := make(map[string][]byte)
	for _, e := range b.Edits {
		text, known := files[e.File]
		if !known {
			var err error
			if text, err = os.ReadFile(filepath.Join(root, filepath.FromSlash(e.File))); err != nil {
				return nil, fmt.Errorf("break %s: %w", b.Name, err)
			}
		}
		if n := bytes.Count(text, []byte(e.Anchor)); n != 1 {
			return nil, &AnchorError{Bug: b.Name, Edit: e, Count: n}
		}
		files[e.File] = bytes.Replace(text, []byte(e.Anchor), []byte(e.With), 1)
	}
	return files, nil
}

// Check compiles the changed packages of the module in root, by way of dir.
func (b Bug) Check(ctx context.Context, root, dir string) error {
	root, err := filepath.Abs(root)
	if err != nil {
		return fmt.Errorf("compile %s: %w", b.Name, err)
	}
	overlay, err := b.overlay(root, dir)
	if err != nil {
		return err
	}
	args := []string{"build", "-overlay", overlay}
	for _, e := range b.Edits {
		args = append(args, "./"+path.Dir(e.File))
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("compile %s: %w\n%s", b.Name, err, out)
	}
	return nil
}

// Build builds the simulations of the module in root with the mistake, in dir, and
// returns the program's path.
func (b Bug) Build(ctx context.Context, root, dir string) (binary string, err error) {
	overlay, err := b.overlay(root, dir)
	if err != nil {
		return "", err
	}
	binary = filepath.Join(dir, b.Name)
	cmd := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", binary, Program)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build with %s: %w\n%s", b.Name, err, out)
	}
	return binary, nil
}

// overlay writes the changed files, and what has them put in place of the originals.
func (b Bug) overlay(root, dir string) (name string, err error) {
	files, err := b.Files(root)
	if err != nil {
		return "", err
	}
	replace := make(map[string]string)
	for file, text := range files {
		to := filepath.Join(dir, b.Name+"-"+strings.ReplaceAll(file, "/", "-"))
		if err := os.WriteFile(to, text, 0o666); err != nil {
			return "", fmt.Errorf("break %s: %w", b.Name, err)
		}
		replace[filepath.Join(root, filepath.FromSlash(file))] = to
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", fmt.Errorf("break %s: %w", b.Name, err)
	}
	name = filepath.Join(dir, b.Name+".json")
	if err := os.WriteFile(name, text, 0o666); err != nil {
		return "", fmt.Errorf("break %s: %w", b.Name, err)
	}
	return name, nil
}

// Root is the folder of the module that the working directory is in.
func Root(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/p2pnode/p2pnode").Output()
	if err != nil {
		return "", fmt.Errorf("find the module's source: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
