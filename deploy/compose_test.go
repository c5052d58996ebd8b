package deploy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

type composeFile struct {
	Services map[string]struct {
		Image string
		Build struct{ Context, Dockerfile string }

		Command  []string
		Volumes  []string
		Networks []string
		Ports    []string
		Profiles []string
		EnvFile  []string `yaml:"env_file"`
		ReadOnly bool     `yaml:"read_only"`
		CapDrop  []string `yaml:"cap_drop"`
	}
	Volumes, Networks map[string]any
}

func TestCompose(t *testing.T) {
	file := decode[composeFile](t, "compose.yaml", read(t, "compose.yaml"))[0]
	if len(file.Services) != 5 {
		t.Errorf("%d services, want 3 to join by, peers, and a gateway", len(file.Services))
	}
	used := make(map[string]bool)
	for name, s := range file.Services {
		checkArgs(t, name, s.Command)
		if s.Image != image || s.Build.Context != ".." || s.Build.Dockerfile != "deploy/Containerfile" {
			t.Errorf("%s: image %q, built by %+v", name, s.Image, s.Build)
		}
		if !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") {
			t.Errorf("%s may do more than it needs", name)
		}
		for _, v := range s.Volumes {
			volume, at, named := strings.Cut(v, ":")
			if !named {
				volume, at = "", v
			}
			if _, declared := file.Volumes[volume]; named && !declared {
				t.Errorf("%s: no volume %q", name, volume)
			}
			if at != last(t, "VOLUME") || volume != "" && used[volume] {
				t.Errorf("%s: volume %s is not where the repo is, or somebody else's", name, v)
			}
			used[volume] = true
		}
		for _, n := range s.Networks {
			if _, declared := file.Networks[n]; !declared {
				t.Errorf("%s: no network %q", name, n)
			}
		}
		if len(s.Volumes) != 1 || len(s.Networks) != 1 {
			t.Errorf("%s: %d volumes, %d networks", name, len(s.Volumes), len(s.Networks))
		}
		for _, p := range s.Ports {
			want := fmt.Sprintf("127.0.0.1:8080:%d", listensOn(s.Command, "--gateway"))
			if p != want || !slices.Contains(exposed(t), "8080/tcp") {
				t.Errorf("%s publishes %s, want %s", name, p, want)
			}
		}
		// Peers wait for addresses; those whose addresses they are do not.
		joins := !strings.HasPrefix(name, "bootstrap-")
		if joins != slices.Equal(s.EnvFile, []string{"bootstrap.env"}) || joins != slices.Equal(s.Profiles, []string{"peers"}) {
			t.Errorf("%s: env_file %v, profiles %v", name, s.EnvFile, s.Profiles)
		}
	}
	for volume := range file.Volumes {
		if !used[volume] {
			t.Errorf("nobody uses the volume %s", volume)
		}
	}
	if len(file.Services["gateway"].Ports) != 1 || len(file.Services["peer"].Ports) != 0 {
		t.Error("one gateway is to be published, and no peer, of which there may be many")
	}
}
