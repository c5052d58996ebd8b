package deploy_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// instruction is a line of a Containerfile.
type instruction struct{ word, rest string }

func instructions(t *testing.T) []instruction {
	t.Helper()
	var all []instruction
	for line := range strings.Lines(read(t, "Containerfile")) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			word, rest, _ := strings.Cut(line, " ")
			all = append(all, instruction{word, rest})
		}
	}
	return all
}

// last is the last instruction of that word.
func last(t *testing.T, word string) string {
	t.Helper()
	rest := ""
	for _, in := range instructions(t) {
		if in.word == word {
			rest = in.rest
		}
	}
	if rest == "" {
		t.Errorf("Containerfile: no %s", word)
	}
	return rest
}

func words(t *testing.T, list string) (all []string) {
	t.Helper()
	if err := json.Unmarshal([]byte(list), &all); err != nil {
		t.Errorf("Containerfile: %q: %v", list, err)
	}
	return all
}

// exposed are the ports of the image, as in 4101/tcp.
func exposed(t *testing.T) []string { return strings.Fields(last(t, "EXPOSE")) }

func TestContainerfile(t *testing.T) {
	checkProbe(t, "ENTRYPOINT and CMD", append(words(t, last(t, "ENTRYPOINT")), words(t, last(t, "CMD"))...))
	_, health, ok := strings.Cut(last(t, "HEALTHCHECK"), "CMD ")
	if !ok {
		t.Error("HEALTHCHECK has no CMD")
	}
	checkProbe(t, "HEALTHCHECK", words(t, health))

	for _, want := range []string{"4101/tcp", "4101/udp", strconv.Itoa(listensOn(words(t, last(t, "CMD")), "--gateway")) + "/tcp"} {
		if !slices.Contains(exposed(t), want) {
			t.Errorf("EXPOSE %v: no %s", exposed(t), want)
		}
	}
	volume := last(t, "VOLUME")
	if env := last(t, "ENV"); !strings.Contains(env, "P2PNODE_REPO="+volume+"/") {
		t.Errorf("ENV %s: the repo is not in the volume %s", env, volume)
	}
	if uid, err := strconv.Atoi(strings.Split(last(t, "USER"), ":")[0]); err != nil || uid == 0 {
		t.Errorf("USER %s: want a number, for there are no names, and not root", last(t, "USER"))
	}
	if from := last(t, "FROM"); from != "scratch" {
		t.Errorf("the last stage is from %s", from)
	}
}

// What is built is there, and built with a Go that can.
func TestContainerfileBuilds(t *testing.T) {
	version := ""
	for line := range strings.Lines(read(t, "../go.mod")) {
		if v, ok := strings.CutPrefix(line, "go "); ok {
			version = strings.Join(strings.Split(strings.TrimSpace(v), ".")[:2], ".")
		}
	}
	for _, in := range instructions(t) {
		switch {
		case in.word == "FROM" && strings.HasSuffix(in.rest, "AS build"):
			if !strings.HasPrefix(in.rest, "docker.io/library/golang:"+version+" ") {
				t.Errorf("FROM %s: go.mod wants %s", in.rest, version)
			}
		case in.word == "COPY" && !strings.HasPrefix(in.rest, "--from="):
			sources := strings.Fields(in.rest)
			for _, s := range sources[:len(sources)-1] {
				if _, err := os.Stat(filepath.Join("..", s)); err != nil {
					t.Errorf("COPY %s: %v", in.rest, err)
				}
			}
		case in.word == "RUN" && strings.Contains(in.rest, "go build"):
			if !strings.Contains(in.rest, "CGO_ENABLED=0") {
				t.Errorf("RUN %s: not static, and there is no libc", in.rest)
			}
			if _, err := os.Stat("../cmd/p2pnode/main.go"); err != nil || !strings.Contains(in.rest, " ./cmd/p2pnode") {
				t.Errorf("RUN %s: what does it build? %v", in.rest, err)
			}
		}
	}
	// Nothing that the build needs is kept from it.
	for line := range strings.Lines(read(t, "Containerfile.dockerignore")) {
		for _, needed := range []string{"cmd", "node", "control", "gateway", "go.mod"} {
			if strings.TrimSpace(line) == needed {
				t.Errorf("Containerfile.dockerignore: the build needs %s", needed)
			}
		}
	}
	if imports := importsOf(t, "github.com/p2pnode/p2pnode/cmd/p2pnode"); strings.Contains(imports, "/testground") {
		t.Error("Containerfile.dockerignore: p2pnode imports testground, which is left out")
	}
}
