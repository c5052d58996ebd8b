package main

import (
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
)

// versions are those of what is simulated, and on what.
func versions() map[string]string {
	v := map[string]string{
		"go": runtime.Version(), "system": runtime.GOOS + "/" + runtime.GOARCH, "processors": strconv.Itoa(runtime.GOMAXPROCS(0)),
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	shown := []string{"github.com/ipfs/boxo", "github.com/libp2p/go-libp2p", "github.com/libp2p/go-libp2p-kad-dht", "github.com/libp2p/go-libp2p-pubsub"}
	for _, m := range info.Deps {
		if slices.Contains(shown, m.Path) {
			v[m.Path] = m.Version
		}
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			v["revision"] = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			v["changed since the revision"] = "yes"
		case s.Key == "-race" && s.Value == "true":
			v["race detector"] = "on"
		}
	}
	return v
}
