package interop_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// TestCAR exports from one and imports in the other; they are never connected.
func TestCAR(t *testing.T) {
	ours, kubo := startOurs(t, "p2pnode", profileNew), startKubo(t, "kubo", profileNew)
	for _, way := range [][2]*peer{{ours, kubo}, {kubo, ours}} {
		from, to := way[0], way[1]
		for _, c := range []content{file("5 MiB", 5<<20), {"names", writeNames}} {
			t.Run(c.name+" from "+from.name+" to "+to.name, func(t *testing.T) {
				path, car := filepath.Join(t.TempDir(), "content"), filepath.Join(t.TempDir(), "content.car")
				c.write(t, path, seeded(t.Name()))
				cid := from.do(t, from.words.add, path)
				f, err := os.Create(car)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				export := from.command(t.Context(), append(append([]string{}, from.words.carExport...), cid)...)
				export.Stdout = f
				if err := export.Run(); err != nil {
					t.Fatal(err)
				}
				to.do(t, to.words.carImport, car)
				sameTree(t, to.fetch(t, cid), path)
			})
		}
	}
}

// TestGateways reads over HTTP, from each, what the other has: a file of a directory, a range of it,
// a block of it and the whole as a CAR.
func TestGateways(t *testing.T) {
	ours, kubo := startOurs(t, "p2pnode", profileNew), startKubo(t, "kubo", profileNew)
	ours.do(t, ours.words.connect, kubo.addr)
	for _, way := range [][2]*peer{{ours, kubo}, {kubo, ours}} {
		owner, server := way[0], way[1]
		t.Run(server.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "content")
			writeFile(t, filepath.Join(dir, "sub folder", "file"), seeded(t.Name()), 3<<20+5)
			want, err := os.ReadFile(filepath.Join(dir, "sub folder", "file"))
			if err != nil {
				t.Fatal(err)
			}
			cid := owner.do(t, owner.words.add, dir)
			url := fmt.Sprintf("%s/ipfs/%s/sub%%20folder/file", server.gateway, cid)
			if got := fetchURL(t, url, "", http.StatusOK); !bytes.Equal(got, want) {
				t.Errorf("got %d other bytes; want %d", len(got), len(want))
			}
			from := rand.New(seeded(t.Name())).IntN(1 << 20)
			to := from + 2<<20
			if got := fetchURL(t, url, fmt.Sprintf("bytes=%d-%d", from, to), http.StatusPartialContent); !bytes.Equal(got, want[from:to+1]) {
				t.Errorf("got %d other bytes in a range; want %d", len(got), to+1-from)
			}
			for _, format := range []string{"raw", "car"} {
				path := "/ipfs/" + cid + "?format=" + format
				got, want := fetchURL(t, server.gateway+path, "", http.StatusOK), fetchURL(t, owner.gateway+path, "", http.StatusOK)
				if !bytes.Equal(got, want) {
					t.Errorf("%s: %d bytes; the owner gives %d others", format, len(got), len(want))
				}
			}
		})
	}
}

func fetchURL(t *testing.T, url, span string, status int) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if span != "" {
		req.Header.Set("Range", span)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != status {
		t.Fatalf("%s: %s: %s", url, resp.Status, body)
	}
	return body
}
