package main

import (
	"errors"
	"path/filepath"
	"strings"
)

// checkSystemName refuses what Windows takes for devices, streams or paths.
func checkSystemName(name string) error {
	if strings.ContainsAny(name, `\:*?"<>|`) || strings.TrimRight(name, " .") != name || !filepath.IsLocal(name) {
		return errors.New("name is reserved on Windows")
	}
	return nil
}
