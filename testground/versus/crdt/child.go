package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// childWord begins the arguments of a process that measures p2pnode, or go-ds-crdt:
// "child TASK TRACE FOLDER". rivals.mjs does the same with the other libraries.
const childWord = "child"

// minimum is how long a task warms up, and then is measured, at least.
const minimum = 300 * time.Millisecond

// child does one task and prints its result.
func child(t *testing.T, args []string, out io.Writer) error {
	if len(args) != 3 {
		return fmt.Errorf("%s: %d arguments; want task, trace and folder", childWord, len(args))
	}
	task, about, dir := args[0], args[1], args[2]
	var r result
	var err error
	switch task {
	case "catchup":
		r, err = catchUpInBubble(t, about)
	case "put":
		r, err = putting(t.Context(), about, dir)
	default:
		r, err = texting(t.Context(), task, about, dir)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", task, about, err)
	}
	return json.NewEncoder(out).Encode(r)
}

// texting does a task with a trace.
func texting(ctx context.Context, task, path, dir string) (result, error) {
	tr, err := readTrace(path)
	if err != nil {
		return result{}, err
	}
	w := work{tr: tr, dir: dir, file: filepath.Join(dir, "p2pnode-"+strings.TrimSuffix(filepath.Base(path), ".json.gz"))}
	tasks := map[string]func(context.Context) (result, error){
		"apply": w.apply, "persist": w.persist, "save": w.save, "load": w.load, "history": w.history, "heap": w.heap, "alone": w.alone,
	}
	f, ok := tasks[task]
	if !ok {
		return result{}, fmt.Errorf("no such task")
	}
	return f(ctx)
}

// timed does once for a while to warm up, then for a while again, and returns the median of what
// it took in that, and what it took the very first time. once tells that, and the text that came
// of it.
func timed(once func() (time.Duration, string, error)) (result, error) {
	var warm, times sample
	text := ""
	run := func(kept *sample) error {
		for end := time.Now().Add(minimum); ; {
			took, got, err := once()
			if err != nil {
				return err
			}
			kept.add(took.Seconds())
			if text = got; time.Now().After(end) {
				return nil
			}
		}
	}
	if err := run(&warm); err != nil {
		return result{}, err
	}
	runtime.GC()
	if err := run(&times); err != nil {
		return result{}, err
	}
	return result{Seconds: times.median(), First: warm.values[0], Text: hashOf(text)}, nil
}

// heapInUse is what is alive on the heap.
func heapInUse() int64 {
	for range 3 { // finalizers, and what they kept alive
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
