package main

import (
	"io"
	"os"
	"strings"
	"time"
)

// A get that is killed leaves the file that it was writing under its temporary
// name. The next get into that folder removes it, by a rule that spares the
// files of every get that runs:
//
// A get holds a shared lock (flock) on each folder for as long as it may have
// such a file there, and the kernel lets go of it however the process ends. Who
// gets the lock for himself alone has thus seen that no other get is at work in
// the folder, and whatever lies there is left over. If somebody else has it,
// nothing is removed this time.
//
// The files must also be older than partAgeMin: that covers file systems on which
// a lock cannot be had or is not seen by other machines. Where there is no flock,
// nothing is ever removed.

const (
	// partAgeMin is how long ago a file that is removed was last written to.
	partAgeMin = time.Hour
	// partSuffixSize is the length of what follows tempPrefix in a name, in bytes.
	partSuffixSize = 10
	// namesMax is how many names of a folder are read at once.
	namesMax = 1024
)

// claim locks a folder against the removal of what is written there, and removes
// what was left by others. None of that is essential, so it fails in silence.
func claim(root *os.Root) io.Closer {
	dir, err := root.Open(".")
	if err != nil {
		return io.NopCloser(nil)
	}
	if lock(dir, true) {
		removeParts(root, dir)
	}
	lock(dir, false)
	return dir
}

func removeParts(root *os.Root, dir *os.File) {
	for {
		names, err := dir.Readdirnames(namesMax)
		for _, name := range names {
			if !isPart(name) {
				continue
			}
			info, err := root.Lstat(name)
			if err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > partAgeMin {
				_ = root.Remove(name) // it is there for the next get to see
			}
		}
		if err != nil {
			return
		}
	}
}

// isPart tells whether a name is one that get gives to files it is writing.
func isPart(name string) bool {
	suffix, ok := strings.CutPrefix(name, tempPrefix)
	return ok && len(suffix) == partSuffixSize && strings.Trim(suffix, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}
