package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestNotes(t *testing.T) {
	var out bytes.Buffer
	seen, err := run(t.Context(), t.TempDir(), &out)
	if err != nil {
		t.Fatal(err)
	}
	ann, bob := seen[0], seen[1]
	if ann != bob {
		t.Errorf("Ann sees %q, Bob sees %q", ann, bob)
	}
	// Who comes first is decided by rule; but nobody's lines are between the other's.
	heading, fromAnn, fromBob := "Picnic on Sunday\n", "- apples\n- a blanket\n", "- bread\n- cheese\n"
	if ann != heading+fromAnn+fromBob && ann != heading+fromBob+fromAnn {
		t.Errorf("the note is %q", ann)
	}
	if want := "Ann, offline, sees:\nPicnic\n" + fromAnn; !strings.Contains(out.String(), want) {
		t.Errorf("printed %q, want %q in it", out.String(), want)
	}
}
