package build_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/unixfs"
	"github.com/p2pnode/p2pnode/unixfs/build"
)

// With -kubo FILE, TestGolden asks that Kubo binary for the CIDs and rewrites
// the table. Understand every line that changes: a CID once given must stay.
var kubo = flag.String("kubo", "", "ipfs binary to rewrite testdata/kubo.txt with")

const goldenFile = "testdata/kubo.txt"

// thing is a file, directory or symlink of a golden case.
type thing struct {
	path   string // "" is the root
	size   int    // of a file, filled from its size as the seed
	dir    bool
	target string // of a symlink
	mode   fs.FileMode
	mtime  time.Time
}

type goldenCase struct {
	name     string
	things   []thing
	preserve bool   // mode and mtime, which Kubo refuses to combine with raw leaves
	only     string // the profile that it is for; "" is all
}

var epoch = time.Unix(1700000000, 123456789)

func goldenCases() []goldenCase {
	var cases []goldenCase
	for _, size := range []int{
		0, 1, 256<<10 - 1, 256 << 10, 256<<10 + 1, 1<<20 - 1, 1 << 20, 1<<20 + 1,
		174 * 256 << 10, 174*256<<10 + 1, 50 << 20, 100 << 20, 1024<<20 + 1,
	} {
		cases = append(cases, goldenCase{name: fmt.Sprintf("file of %d", size), things: []thing{{size: size}}})
	}
	cases[len(cases)-1].only = build.V1_2025.Name
	nested := []thing{
		{path: "a", dir: true}, {path: "a/b", dir: true}, {path: "a/b/one", size: 1}, {path: "a/b/two", size: 300 << 10},
		{path: "a/three", size: 3}, {path: "empty", dir: true}, {path: "link", target: "a/three"},
	}
	stat := []thing{
		{dir: true, mode: 0o755, mtime: epoch}, {path: "d", dir: true, mode: 0o700, mtime: epoch.Add(time.Hour)},
		{path: "d/x", size: 5, mode: 0o640, mtime: epoch}, {path: "d/y", size: 2 << 20, mode: 0o755, mtime: time.Unix(-5, 0)},
		{path: "s", size: 7, mode: 0o644 | fs.ModeSetuid, mtime: time.Unix(1, 0)}, {path: "t", target: "d/x", mtime: epoch},
	}
	return append(cases,
		goldenCase{name: "empty directory", things: []thing{{dir: true}}},
		goldenCase{name: "nested directories", things: nested},
		goldenCase{name: "names", things: []thing{
			{path: "with space", size: 1}, {path: "żółć", size: 2}, {path: "日本", size: 3}, {path: "Z", size: 4}, {path: "a-b", size: 5}, {path: "a", dir: true}, {path: "a/😀", size: 6}}},
		goldenCase{name: "5000 entries", things: many(5000)},
		goldenCase{name: "5000 entries below", things: below("sub", many(5000))},
		goldenCase{name: "v1 at the threshold", things: sized(1065, 200, 105)},
		goldenCase{name: "v1 over the threshold", things: sized(1065, 200, 106)},
		goldenCase{name: "v0 at the threshold", things: sized(1120, 200, 30)},
		goldenCase{name: "v0 over the threshold", things: sized(1120, 200, 31)},
		goldenCase{name: "mode and mtime", things: stat, preserve: true, only: build.V0_2015.Name},
		goldenCase{name: "sharded with mode and mtime", things: append([]thing{{dir: true, mode: 0o751, mtime: epoch}}, withStat(sized(1300, 200, 40))...), preserve: true, only: build.V0_2015.Name},
	)
}

func many(n int) []thing {
	var ts []thing
	for i := range n {
		ts = append(ts, thing{path: fmt.Sprintf("file-%05d-with-a-name-of-some-length.txt", i), size: i % 3})
	}
	return ts
}

func below(dir string, ts []thing) []thing {
	for i := range ts {
		ts[i].path = dir + "/" + ts[i].path
	}
	return ts
}

// sized gives n names of one length and one of another.
func sized(n, size, last int) []thing {
	var ts []thing
	for i := range n {
		ts = append(ts, thing{path: fmt.Sprintf("%05d%s", i, strings.Repeat("x", size-5)), size: 1})
	}
	return append(ts, thing{path: strings.Repeat("y", last), size: 1})
}

func withStat(ts []thing) []thing {
	for i := range ts {
		ts[i].mode, ts[i].mtime = 0o644, epoch
	}
	return ts
}

// content is a reproducible stream of size bytes.
func content(size int) *randomReader {
	var seed [32]byte
	copy(seed[:], fmt.Sprint(size))
	return &randomReader{c: rand.NewChaCha8(seed), left: size}
}

type randomReader struct {
	c    *rand.ChaCha8
	left int
}

func (r *randomReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.c.Read(p[:min(len(p), r.left)])
	r.left -= n
	return n, err
}

func TestGolden(t *testing.T) {
	if *kubo != "" {
		rewriteGolden(t)
	}
	want := readGolden(t)
	for _, p := range []build.Profile{build.V1_2025, build.V0_2015} {
		for _, c := range goldenCases() {
			if c.only != "" && c.only != p.Name {
				continue
			}
			t.Run(p.Name+"/"+c.name, func(t *testing.T) {
				if got := buildThings(t, p, c).Cid.String(); got != want[p.Name+" | "+c.name] {
					t.Errorf("root %s, Kubo has %s", got, want[p.Name+" | "+c.name])
				}
			})
		}
	}
}

func buildThings(t *testing.T, p build.Profile, c goldenCase) unixfs.Link {
	t.Helper()
	ctx := context.Background()
	tree := build.NewTree(discard{}, build.Options{Profile: p})
	for _, th := range c.things {
		var err error
		switch {
		case th.dir:
			err = tree.Dir(th.path, th.mode, th.mtime)
		case th.target != "":
			_, err = tree.Symlink(ctx, th.path, th.target, th.mtime)
		default:
			_, err = tree.File(ctx, th.path, content(th.size), th.mode, th.mtime)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	l, err := tree.Finish(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// readGolden reads lines of "profile | case | CID".
func readGolden(t *testing.T) map[string]string {
	t.Helper()
	f, err := os.Open(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := map[string]string{}
	for s := bufio.NewScanner(f); s.Scan(); {
		if i := strings.LastIndex(s.Text(), " | "); i > 0 && s.Text()[0] != '#' {
			want[s.Text()[:i]] = s.Text()[i+3:]
		}
	}
	return want
}

func rewriteGolden(t *testing.T) {
	var out strings.Builder
	out.WriteString(`# Root CIDs by Kubo 0.43.0, one line per profile and case of golden_test.go.
# Made with "go test ./unixfs/build -run TestGolden -kubo FILE", which for each profile runs
#
#	ipfs init --profile test
#	ipfs config profile apply PROFILE
#
# and for each case, with its files in DIR/x (a file itself, or a directory):
#
#	ipfs add -Q -r -H --only-hash DIR/x
#
# or, where mode and mtime count,
#
#	ipfs add -Q -r -H --pin=false --preserve-mode --preserve-mtime DIR/x
`)
	for _, p := range []build.Profile{build.V1_2025, build.V0_2015} {
		repo := t.TempDir()
		run(t, repo, "init", "--profile", "test")
		run(t, repo, "config", "profile", "apply", p.Name)
		for _, c := range goldenCases() {
			if c.only != "" && c.only != p.Name {
				continue
			}
			args := []string{"add", "-Q", "-r", "-H", "--only-hash"}
			if c.preserve { // which --only-hash cannot
				args = append(args[:4], "--pin=false", "--preserve-mode", "--preserve-mtime")
			}
			root := filepath.Join(t.TempDir(), "x")
			writeThings(t, root, c.things)
			fmt.Fprintf(&out, "%s | %s | %s\n", p.Name, c.name, run(t, repo, append(args, root)...))
			os.RemoveAll(root)
		}
	}
	if err := os.WriteFile(goldenFile, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, repo string, args ...string) string {
	t.Helper()
	cmd := exec.Command(*kubo, args...)
	cmd.Env = append(os.Environ(), "IPFS_PATH="+repo)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ipfs %v: %v", args, err)
	}
	return strings.TrimSpace(string(out))
}

func writeThings(t *testing.T, root string, things []thing) {
	t.Helper()
	check := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	if len(things) != 1 || things[0].path != "" || things[0].dir {
		check(os.Mkdir(root, 0o755))
	}
	for _, th := range things {
		name := filepath.Join(root, th.path)
		switch {
		case th.dir:
			check(os.MkdirAll(name, 0o755))
		case th.target != "":
			check(os.Symlink(th.target, name))
		default:
			check(os.MkdirAll(filepath.Dir(name), 0o755))
			f, err := os.Create(name)
			check(err)
			_, err = f.ReadFrom(content(th.size))
			check(err)
			check(f.Close())
		}
	}
	for i := len(things) - 1; i >= 0; i-- { // from the inside out, since a change inside sets the mtime
		th := things[i]
		name := filepath.Join(root, th.path)
		if th.mode != 0 {
			check(os.Chmod(name, th.mode))
		}
		if !th.mtime.IsZero() {
			check(exec.Command("touch", "-h", "-d", fmt.Sprintf("@%d.%09d", th.mtime.Unix(), th.mtime.Nanosecond()), name).Run())
		}
	}
}
