package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/ipld/go-car/v2"
	carstorage "github.com/ipld/go-car/v2/storage"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/p2pnode/p2pnode/block"
)

// directory is a UnixFS directory of files with those names, all of one content.
func directory(t *testing.T, leaf block.Block, names ...string) block.Block {
	t.Helper()
	var node []byte
	for _, name := range names {
		var link []byte
		link = protowire.AppendTag(link, 1, protowire.BytesType)
		link = protowire.AppendBytes(link, leaf.Cid().Bytes())
		link = protowire.AppendTag(link, 2, protowire.BytesType)
		link = protowire.AppendString(link, name)
		link = protowire.AppendTag(link, 3, protowire.VarintType)
		link = protowire.AppendVarint(link, uint64(leaf.Size()))
		node = protowire.AppendTag(node, 2, protowire.BytesType)
		node = protowire.AppendBytes(node, link)
	}
	node = protowire.AppendTag(node, 1, protowire.BytesType)
	node = protowire.AppendBytes(node, []byte{0x08, 0x01}) // Data: Type = Directory
	b, err := block.New(node, block.Prefix{Codec: cid.DagProtobuf})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func archiveCAR(t *testing.T, path string, root block.Block, more ...block.Block) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := carstorage.NewWritable(f, []cid.Cid{root.Cid()}, car.WriteAsCarV1(true))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range append(more, root) {
		if err := w.Put(t.Context(), b.Cid().KeyString(), b.RawData()); err != nil {
			t.Fatal(err)
		}
	}
}

// program runs the program in this process.
func program(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(args, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

// A directory with names that no directory has is refused, from the archive to
// the disk: nothing of it is written anywhere.
func TestHostileDirectory(t *testing.T) {
	leaf, err := block.New([]byte("x"), block.Prefix{Codec: cid.Raw})
	if err != nil {
		t.Fatal(err)
	}
	for what, names := range map[string][]string{
		"parent":    {".."},
		"self":      {"."},
		"empty":     {""},
		"slash":     {"../escaped"},
		"absolute":  {"/escaped"},
		"zero byte": {"a\x00b"},
		"two":       {"a", "a"},
		"temporary": {tempPrefix + "x"},
		"too long":  {strings.Repeat("n", 300)},
	} {
		t.Run(what, func(t *testing.T) {
			parent := t.TempDir()
			repo, out := filepath.Join(parent, "repo"), filepath.Join(parent, "target", "out")
			if err := os.Mkdir(filepath.Dir(out), 0o755); err != nil {
				t.Fatal(err)
			}
			root := directory(t, leaf, names...)
			archiveCAR(t, filepath.Join(parent, "bad.car"), root, leaf)
			program("--repo", repo, "init")
			if code, _, stderr := program("--repo", repo, "car", "import", filepath.Join(parent, "bad.car")); code != 0 {
				if code != 7 {
					t.Errorf("import: exit %d: %s", code, stderr)
				}
				return // refused at the door
			}
			code, _, stderr := program("--repo", repo, "get", root.Cid().String(), "-o", out)
			if code != 7 {
				t.Errorf("get: exit %d: %s", code, stderr)
			}
			for _, name := range files(t, filepath.Dir(out)) {
				if name != "out/" {
					t.Errorf("left %s", name)
				}
			}
		})
	}
}

// A name that is legal but harmful to look at is written as it is and printed
// escaped.
func TestTerminalEscapesInNames(t *testing.T) {
	leaf, err := block.New([]byte("x"), block.Prefix{Codec: cid.Raw})
	if err != nil {
		t.Fatal(err)
	}
	parent := t.TempDir()
	repo, out := filepath.Join(parent, "repo"), filepath.Join(parent, "out")
	name := "\x1b[2Jgone\n"
	root := directory(t, leaf, name)
	archiveCAR(t, filepath.Join(parent, "a.car"), root, leaf)
	program("--repo", repo, "init")
	if code, _, stderr := program("--repo", repo, "car", "import", filepath.Join(parent, "a.car")); code != 0 {
		t.Fatalf("import: exit %d: %s", code, stderr)
	}
	code, stdout, stderr := program("--repo", repo, "ls", root.Cid().String())
	if code != 0 || !strings.Contains(stdout, `\x1b[2Jgone\x0a`) || strings.Contains(stdout, "\x1b") {
		t.Errorf("ls: exit %d, %q, %s", code, stdout, stderr)
	}
	if code, _, stderr := program("--repo", repo, "get", root.Cid().String(), "-o", out); code != 0 {
		t.Fatalf("get: exit %d: %s", code, stderr)
	}
	if got := files(t, out); !slices.Equal(got, []string{name}) {
		t.Errorf("wrote %q", got)
	}
}
