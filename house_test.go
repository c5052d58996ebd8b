package p2pnode

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/p2pnode/p2pnode/"

// arrows lists, for each package, the packages of this module it may import.
// Floors are set apart by blank lines; an arrow never points up or sideways,
// but a folder may import its own children.
var arrows = map[string][]string{
	"block":                  {},
	"directio":               {},
	"blockstore/disk/volume": {},
	"exchange/alarm":         {},
	"exchange/flow":          {},
	"exchange/frame":         {"block"},

	"dht/keyspace":             {},
	"unixfs":                   {"block", "unixfs/codec", "unixfs/shard"},
	"unixfs/codec":             {"block"},
	"unixfs/shard":             {"block"},
	"blockstore":               {"block"},
	"blockstore/disk/badgerdb": {"blockstore/disk/volume"},
	"blockstore/disk/segment":  {"block", "directio", "blockstore/disk/volume"},
	"exchange/wire":            {"block"},
	"exchange/swap":            {"block", "exchange/alarm", "exchange/flow"},
	"exchange/skeleton":        {},
	"exchange/swarm":           {"block", "exchange/alarm", "exchange/flow", "exchange/frame"},
	"crdt/causal":              {},
	"crdt/commit":              {"block", "crdt/pack"},
	"crdt/rope":                {},
	"crdt/pack":                {},
	"crdt/sequence":            {"crdt/causal", "crdt/pack"},

	"unixfs/build":          {"block", "unixfs", "unixfs/codec", "unixfs/shard"},
	"crdt":                  {"block", "crdt/causal", "crdt/commit", "crdt/pack", "crdt/rope", "crdt/sequence"},
	"crdt/crdttest":         {"block", "crdt", "crdt/commit"},
	"crdt/archive":          {"block", "crdt", "crdt/commit"},
	"crdt/reconcile":        {"crdt/commit"},
	"crdt/wire":             {"block", "crdt", "crdt/commit", "crdt/reconcile"},
	"blockstore/storetest":  {"block", "blockstore"},
	"blockstore/disk/index": {"blockstore/disk/badgerdb"},
	"blockstore/disk":       {"block", "blockstore", "blockstore/disk/index", "blockstore/disk/segment", "blockstore/disk/volume"},
	"dht":                   {"dht/keyspace"},
	"exchange":              {"block", "blockstore", "exchange/wire", "exchange/frame", "exchange/flow", "exchange/skeleton", "exchange/swap", "exchange/swarm"},
	"gossip":                {},
	"crdt/replica":          {"block", "crdt", "crdt/archive", "crdt/commit", "crdt/reconcile", "crdt/wire"},
	"crdt/datastore":        {"crdt", "crdt/commit", "crdt/replica"}, // above it, and no part of a node

	"node": {"block", "blockstore", "blockstore/disk", "blockstore/disk/badgerdb", "unixfs", "unixfs/build", "unixfs/codec", "exchange", "dht", "gossip", "crdt/replica"},

	"gateway":     {"block"},
	"control":     {"node", "block", "unixfs", "unixfs/build", "unixfs/codec", "exchange", "blockstore/disk", "blockstore/disk/badgerdb", "crdt", "crdt/archive", "crdt/commit", "crdt/replica"}, // names the errors of all
	"cmd/p2pnode": {"node", "gateway", "control", "block", "unixfs", "directio"},

	"examples/bank":      {"node", "crdt", "crdt/commit", "crdt/replica"},
	"examples/cqrs":      {"node", "crdt", "crdt/commit", "crdt/replica"},
	"examples/kanban":    {"node", "crdt", "crdt/commit", "crdt/replica"},
	"examples/kv":        {"node", "crdt", "crdt/commit", "crdt/replica"},
	"examples/wordcount": {"node", "crdt", "crdt/commit", "crdt/replica", "unixfs"},
	"examples/presence":  {"node", "gossip"},
	"examples/notes":     {"node", "crdt", "crdt/commit", "crdt/replica"},
}

// open packages may import everything below them.
var open = []string{"testground"}

// doors lists the packages through which a heavy dependency enters. A path that
// ends in "$" stands for that package alone, any other for all below it too.
var doors = map[string][]string{
	"github.com/ipfs/boxo":                {"gateway"},
	"github.com/dgraph-io/badger":         {"blockstore/disk/badgerdb", "blockstore/disk/index", "node"},
	"github.com/libp2p/go-libp2p$":        {"node"}, // libp2p.New
	"github.com/libp2p/go-libp2p-kad-dht": {"dht"},
	"github.com/libp2p/go-libp2p-pubsub":  {"gossip"},
	"github.com/ipld/go-car":              {"node"},
	"github.com/spf13/cobra":              {"cmd/p2pnode"},
}

// pure packages hold protocol logic: they start no goroutine and read no clock,
// so that a script or a seed decides everything they do. unixfs and its builder
// read no clock either, but keep Gets in flight and hash on all cores.
var (
	noGoroutines = []string{"block", "blockstore", "unixfs/codec", "unixfs/shard", "exchange/wire", "exchange/swap", "exchange/swarm", "exchange/skeleton", "exchange/alarm", "exchange/flow", "exchange/frame", "dht/keyspace", "crdt/causal", "crdt/sequence", "crdt/rope", "crdt/pack", "crdt/commit", "crdt", "crdt/crdttest", "crdt/archive", "crdt/reconcile", "crdt/wire"}
	noClock      = append([]string{"unixfs", "unixfs/build"}, noGoroutines...)
)

const functionLinesMax = 70

func TestHouse(t *testing.T) {
	docs := make(map[string][]string) // folder -> files with a package comment
	seen := make(map[string]bool)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skip(path)
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		pkg := filepath.ToSlash(filepath.Dir(path))
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution|parser.ParseComments)
		if err != nil {
			return err
		}
		seen[pkg] = true
		if f.Doc != nil {
			docs[pkg] = append(docs[pkg], path)
		}
		if pkg != "." {
			checkImports(t, path, pkg, f)
			checkCode(t, path, pkg, fset, f)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range seen {
		if len(docs[pkg]) != 1 {
			t.Errorf("%s: %d files have a package comment, want one: %v", pkg, len(docs[pkg]), docs[pkg])
		}
	}
	for pkg := range arrows {
		if !seen[pkg] {
			t.Errorf("%s: on the plan, but not there", pkg)
		}
	}
}

// skip leaves out folders that are no part of this module.
func skip(dir string) error {
	if dir == "." {
		return nil
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
		return filepath.SkipDir
	}
	if base := filepath.Base(dir); base == "testdata" || strings.HasPrefix(base, ".") {
		return filepath.SkipDir
	}
	return nil
}

func checkImports(t *testing.T, path, pkg string, f *ast.File) {
	t.Helper()
	allowed, planned := arrows[pkg]
	free := slices.ContainsFunc(open, func(p string) bool { return pkg == p || strings.HasPrefix(pkg, p+"/") })
	if !planned && !free {
		t.Errorf("%s: package %s is not on the plan", path, pkg)
		return
	}
	for _, im := range f.Imports {
		p := strings.Trim(im.Path.Value, `"`)
		if to, ok := strings.CutPrefix(p, module); ok && !free && !slices.Contains(allowed, to) {
			t.Errorf("%s: no arrow from %s to %s", path, pkg, to)
		}
		for dep, through := range doors {
			name, exact := strings.CutSuffix(dep, "$")
			enters := p == name || !exact && strings.HasPrefix(p, name+"/")
			if enters && !free && !slices.Contains(through, pkg) {
				t.Errorf("%s: %s enters only through %v", path, dep, through)
			}
		}
	}
}

func checkCode(t *testing.T, path, pkg string, fset *token.FileSet, f *ast.File) {
	t.Helper()
	at := func(n ast.Node) token.Position { return fset.Position(n.Pos()) }
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if lines := fset.Position(n.End()).Line - at(n).Line + 1; lines > functionLinesMax {
				t.Errorf("%s: %s has %d lines; the limit is %d", at(n), n.Name.Name, lines, functionLinesMax)
			}
			if n.Recv == nil && n.Name.Name == "init" {
				t.Errorf("%s: no init functions", at(n))
			}
		case *ast.GoStmt:
			if slices.Contains(noGoroutines, pkg) {
				t.Errorf("%s: go statement in a pure package", at(n))
			}
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && slices.Contains(noClock, pkg) && x.Name == "time" &&
				slices.Contains([]string{"Now", "Since", "After", "Sleep", "NewTimer", "NewTicker", "AfterFunc"}, n.Sel.Name) {
				t.Errorf("%s: time.%s in a package without a clock", at(n), n.Sel.Name)
			}
		case *ast.StructType:
			for _, field := range n.Fields.List {
				if s, ok := field.Type.(*ast.SelectorExpr); ok && s.Sel.Name == "Context" {
					if x, ok := s.X.(*ast.Ident); ok && x.Name == "context" {
						t.Errorf("%s: context in a struct", at(field))
					}
				}
			}
		}
		return true
	})
}

// floors are the lowest versions without known vulnerabilities, from the Go
// vulnerability database. A test, because the database is not always within reach.
var floors = map[string]string{
	"github.com/libp2p/go-libp2p":        "v0.49.0", // webtransport-go CVE-2026-57497
	"github.com/quic-go/quic-go":         "v0.59.1",
	"github.com/ipld/go-ipld-prime":      "v0.23.0", // CVE-2026-35480, CVE-2026-42328
	"github.com/ipld/go-codec-dagpb":     "v1.3.1",
	"github.com/ipfs/go-unixfsnode":      "v1.5.2",
	"github.com/ipfs/go-bitfield":        "v1.1.0",
	"github.com/dgraph-io/badger/v4":     "v4.9.4", // deletes reappear
	"github.com/libp2p/go-libp2p-pubsub": "v0.17.0",
}

func TestVersionFloors(t *testing.T) {
	text, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		floor, ok := floors[words[0]]
		if !ok {
			continue
		}
		found++
		if compareVersions(words[1], floor) < 0 {
			t.Errorf("%s %s is below the floor %s", words[0], words[1], floor)
		}
	}
	if found < 5 {
		t.Errorf("found %d of %d modules in go.mod: the check has lost its subject", found, len(floors))
	}
}

// compareVersions orders v1.2.3 by its numbers; what follows a "-" is ignored.
func compareVersions(a, b string) int {
	return slices.Compare(versionNumbers(a), versionNumbers(b))
}

func versionNumbers(v string) []int {
	v, _, _ = strings.Cut(strings.TrimPrefix(v, "v"), "-")
	var out []int
	for part := range strings.SplitSeq(v, ".") {
		n := 0
		for _, r := range part {
			n = n*10 + int(r-'0')
		}
		out = append(out, n)
	}
	return out
}
