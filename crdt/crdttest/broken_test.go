package crdttest_test

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/p2pnode/p2pnode/testground/broken"
)

var all = flag.Bool("converge.broken", false, "build with every mistake, and not with the first two alone")

// mistakes are what schedules must find.
var mistakes = []broken.Bug{{
	Name:  "parent-unchecked",
	Doc:   "a commit is applied though a parent is missing",
	Edits: []broken.Edit{{File: "crdt/waiting.go", Anchor: "parent == nil && !q.applied(p.ID) {", With: "parent == nil && !q.applied(p.ID) && len(w.commit.Parents) == 1 {"}},
}, {
	Name:  "tie-by-arrival",
	Doc:   "who came first wins where two insert at one place",
	Edits: []broken.Edit{{File: "crdt/history.go", Anchor: "return cmp.Or(slices.Compare(x[:], y[:]), h.ids[a].Compare(h.ids[b])) < 0", With: "return a < b || x == y && h.ids[a] == h.ids[b]"}},
}, {
	Name:  "dot-dropped",
	Doc:   "what is set removes what its author had not seen",
	Edits: []broken.Edit{{File: "crdt/dot.go", Anchor: "return !slices.ContainsFunc(s.unseen, func(u causal.Span) bool { return u.First <= c && c < u.End })", With: "return c >= 0"}},
}, {
	Name:  "gen-unchecked",
	Doc:   "a commit may choose its gen",
	Edits: []broken.Edit{{File: "crdt/apply.go", Anchor: "if c.Gen != uint64(gen)+1 {", With: "if c.Gen < uint64(gen)+1 {"}},
}, {
	Name:  "winner-by-arrival",
	Doc:   "of values that were set at the same time the last to come wins",
	Edits: []broken.Edit{{File: "crdt/history.go", Anchor: "return cmp.Or(cmp.Compare(h.gens[a], h.gens[b]), slices.Compare(x[:], y[:]), h.ids[a].Compare(h.ids[b])) > 0", With: "return a > b || x == y && a > b"}},
}, {
	Name:  "void-kept",
	Doc:   "what a removed writer has done stays where it was applied before",
	Edits: []broken.Edit{{File: "crdt/apply.go", Anchor: "if len(a.void) > 0 || len(unproven) > 0 {", With: "if len(unproven) > 0 {"}},
}, {
	Name:  "void-late",
	Doc:   "what a removed writer has done has an effect if it comes after the removal",
	Edits: []broken.Edit{{File: "crdt/apply.go", Anchor: "void := h.isVoid(h.graph.Heads(), n)", With: "void := h.isVoid(h.graph.Heads(), n) && n < 0"}},
}, {
	Name:  "role-of-now",
	Doc:   "whether somebody may write is asked of the newest version, not of the one that they saw",
	Edits: []broken.Edit{{File: "crdt/state.go", Anchor: "return h.role(c.Author, parents)", With: "return h.role(c.Author, append(parents[:0:0], h.graph.Heads()...))"}},
}, {
	Name:  "position-trusted",
	Doc:   "an insertion beyond the end is put at the end when there is something concurrent",
	Edits: []broken.Edit{{File: "crdt/sequence/walker.go", Anchor: "switch p = p.within(w.tree.seen); {", With: "if p.kind == Insert {\n\t\t\tp.pos = min(p.pos, w.tree.seen)\n\t\t}\n\t\tswitch p = p.within(w.tree.seen); {"}},
}, {
	Name:  "length-forgotten",
	Doc:   "a replay begins with one element too many",
	Edits: []broken.Edit{{File: "crdt/sequence/sequence.go", Anchor: "s.walker = newWalker(g, &s.log, judge, from, length)", With: "s.walker = newWalker(g, &s.log, judge, from, length+min(length, 1))"}},
}, {
	Name:  "critical-kept",
	Doc:   "a commit stays critical though others do not follow it",
	Edits: []broken.Edit{{File: "crdt/causal/causal.go", Anchor: "last.End = min(last.End, newest+1)", With: "last.End = max(last.First+1, min(last.End, newest+1))"}},
}, {
	Name:  "retreat-forgotten",
	Doc:   "what an author had not seen is not taken back before their edit",
	Edits: []broken.Edit{{File: "crdt/sequence/walker.go", Anchor: "for _, s := range retreat {", With: "for _, s := range retreat[:len(retreat)/2] {"}},
}, {
	Name:  "signature-unchecked",
	Doc:   "a parent by somebody else needs no signature",
	Edits: []broken.Edit{{File: "crdt/apply.go", Anchor: "c.Author != by && !commit.Verify(by, d.id, p.ID, p.Signature)", With: "c.Author != by && p.Signature != nil && !commit.Verify(by, d.id, p.ID, p.Signature)"}},
}, {
	Name:  "log-by-arrival",
	Doc:   "what the log of a text notes depends on what else was here",
	Edits: []broken.Edit{{File: "crdt/sequence/sequence.go", Anchor: "for _, span := range except {", With: "for _, span := range except[:0] {"}},
}, {
	Name:  "clear-shallow",
	Doc:   "removing a map leaves what is in the maps in it",
	Edits: []broken.Edit{{File: "crdt/object.go", Anchor: "	for _, o := range m.children {\n		o.clear(s)\n	}\n", With: "	for n, o := range m.children {\n		if n.kind != commit.Map {\n			o.clear(s)\n		}\n	}\n"}},
}}

// Each mistake is found by schedules that pass without it.
func TestBroken(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for i, bug := range mistakes {
		t.Run(bug.Name, func(t *testing.T) {
			files, err := bug.Files(root)
			if err != nil {
				t.Fatal(err)
			}
			if i >= 2 && !*all {
				return // that the mistake can be made is what is checked
			}
			out, err := run(t, root, files)
			if err == nil || !strings.Contains(out, ": seed ") && !strings.Contains(out, "panic: runtime error") {
				t.Errorf("%s: not found: %v\n%s", bug.Doc, err, out)
			}
			for line := range strings.Lines(out) {
				if strings.Contains(line, "seed ") {
					t.Log(strings.TrimSpace(line))
				}
			}
		})
	}
}

// run plays schedules with some files replaced.
func run(t *testing.T, root string, files map[string][]byte) (string, error) {
	t.Helper()
	dir := t.TempDir()
	replace := make(map[string]string)
	for name, text := range files {
		path := filepath.Join(dir, strings.ReplaceAll(name, "/", "-"))
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root, filepath.FromSlash(name))] = path
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-timeout", "10m", "-overlay", path, "-run", "^TestSchedules$", "./crdt/crdttest", "-converge.schedules", "20000")
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	return string(out), err
}
