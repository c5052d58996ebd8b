package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCosts: networks of two sizes, each with nothing and with something to do, as a table
// and as curves.
func TestCosts(t *testing.T) {
	c := newConsole(t, childCommand)
	file := filepath.Join(t.TempDir(), "costs.md")
	c.do(t, exitOK, "costs", "-peers", "4,6", "-out", file)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"`go run ./testground costs -peers 4,6`", "| nothing to do | 4 |", "| nothing to do | 6 |",
		"| a message to all each second | 6 |", "![as curves](costs.svg)",
	} {
		if !strings.Contains(string(text), part) {
			t.Errorf("no %q in\n%s", part, text)
		}
	}
	picture, err := os.ReadFile(filepath.Join(filepath.Dir(file), "costs.svg"))
	if err != nil || !strings.Contains(string(picture), "memory, MB") {
		t.Errorf("the curves are %q, %v", picture, err)
	}
}

func TestCostsMistakes(t *testing.T) {
	c := newConsole(t, childCommand)
	c.do(t, exitUsage, "costs", "-peers", "ten")
	c.says(t, `-peers "ten"`)
	c.do(t, exitUsage, "costs", "-peers", "10,0")
	c.do(t, exitUsage, "costs", "more")
	c.do(t, exitUsage, "costs", "-peers", "100000000")
	c.says(t, "100000000 peers", "-force tries it")
}
