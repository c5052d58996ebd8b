package measure

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/p2pnode/p2pnode/testground/wiretap"
)

// Names of a run's files in its folder.
const (
	RunFile    = "run.json"
	SeriesFile = "series.csv"
)

// Results of a run.
const (
	Passed      = "passed"
	Failed      = "failed"      // an invariant does not hold, or the scenario gave up
	Panicked    = "panicked"    // the process ended in a trace
	Interrupted = "interrupted" // by whoever ran it
)

// Run says what was run and what came of it. It is what run.json holds.
type Run struct {
	Scenario string            `json:"scenario"`
	Peers    int               `json:"peers"`
	Seed     uint64            `json:"seed"`
	Set      map[string]string `json:"set,omitempty"`    // parameters that were given
	Params   map[string]string `json:"params,omitempty"` // all of them
	Floor    string            `json:"floor,omitempty"`  // if not that of whole nodes
	LimitS   float64           `json:"limit_s,omitempty"`
	Net      string            `json:"net,omitempty"`      // that the peers talked over
	Procs    bool              `json:"procs,omitempty"`    // peers were processes
	Real     bool              `json:"real,omitempty"`     // time, in which latencies are the machine's too
	Exact    bool              `json:"exact,omitempty"`    // with a runtime that the seed decides
	Schedule uint64            `json:"schedule,omitempty"` // of goroutines, if not the seed's own
	Command  string            `json:"command"`            // that runs it once more

	Result string `json:"result"`
	Error  string `json:"error,omitempty"`
	Peer   string `json:"peer,omitempty"`  // in which it panicked
	Trace  string `json:"trace,omitempty"` // of a panic, in short

	Began  time.Time `json:"began"`
	TimeS  float64   `json:"time_s"` // of the network
	WallS  float64   `json:"wall_s"`
	CPUS   float64   `json:"cpu_s"`
	PeakMB float64   `json:"peak_mb"`

	Versions map[string]string `json:"versions,omitempty"`
	Dropped  int               `json:"dropped,omitempty"` // values that did not fit
	Measures []Summary         `json:"measures"`
	Bounds   []Bound           `json:"bounds,omitempty"`
	Graphs   []Graph           `json:"graphs,omitempty"`
	// Messages are those that peers have sent, of the protocols that are known.
	Messages []wiretap.Count `json:"messages,omitempty"`
	// Hash is of all that has arrived at anyone, and when. Runs with Exact have the
	// same if they are the same.
	Hash string `json:"hash,omitempty"`
}

// Save writes a run and every value of it to a folder, which it makes.
func Save(dir string, run Run, r *Recorder) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("save run: %w", err)
	}
	err := WriteFile(filepath.Join(dir, SeriesFile), r.WriteCSV)
	if err == nil {
		err = WriteFile(filepath.Join(dir, RunFile), func(w io.Writer) error { return WriteJSON(w, run) })
	}
	return err
}

// WriteFile writes a file whole or not at all: what was there before stays until the
// new one is complete.
func WriteFile(name string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".partial-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	err = errors.Join(write(f), f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name()) // the first error tells
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// Load reads what Save has written: the folder, or its run.json.
func Load(path string) (Run, *Recorder, error) {
	run, dir, err := LoadRun(path)
	if err != nil {
		return Run{}, nil, err
	}
	r := New()
	r.graphs, r.bounds, r.dropped = run.Graphs, run.Bounds, run.Dropped
	f, err := os.Open(filepath.Join(dir, SeriesFile))
	if err != nil {
		return Run{}, nil, fmt.Errorf("load run: %w", err)
	}
	defer f.Close()
	if err := r.ReadCSV(f); err != nil {
		return Run{}, nil, fmt.Errorf("load %s: %w", f.Name(), err)
	}
	return run, r, nil
}

// LoadRun reads run.json alone, and tells in which folder it is.
func LoadRun(path string) (run Run, dir string, err error) {
	if s, err := os.Stat(path); err == nil && s.IsDir() {
		path = filepath.Join(path, RunFile)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return Run{}, "", fmt.Errorf("load run: %w", err)
	}
	if err := json.Unmarshal(b, &run); err != nil {
		return Run{}, "", fmt.Errorf("load %s: %w", path, err)
	}
	if run.Scenario == "" {
		return Run{}, "", fmt.Errorf("load %s: it names no scenario", path)
	}
	for _, g := range run.Graphs {
		if err := g.check(); err != nil {
			return Run{}, "", fmt.Errorf("load %s: %w", path, err)
		}
	}
	return run, filepath.Dir(path), nil
}

func (g Graph) check() error {
	for _, e := range g.Edges {
		if min(e[0], e[1]) < 0 || max(e[0], e[1]) >= len(g.Group) {
			return fmt.Errorf("graph %q: connection %v of %d peers", g.Name, e, len(g.Group))
		}
	}
	return nil
}

// ReadCSV adds what WriteCSV has written.
func (r *Recorder) ReadCSV(in io.Reader) error {
	c := csv.NewReader(in)
	c.FieldsPerRecord, c.ReuseRecord = 4, true
	if head, err := c.Read(); err != nil {
		return fmt.Errorf("read first line: %w", err)
	} else if !slices.Equal(head, columns) {
		return fmt.Errorf("want a first line of %v, not %v", columns, head)
	}
	for {
		fields, err := c.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		at, errAt := strconv.ParseFloat(fields[1], 64)
		peer, errPeer := strconv.Atoi(fields[2])
		value, errValue := strconv.ParseFloat(fields[3], 64)
		if err := errors.Join(errAt, errPeer, errValue); err != nil {
			line, _ := c.FieldPos(0)
			return fmt.Errorf("line %d: %w", line, err)
		}
		r.Add(fields[0], time.Duration(math.Round(at*float64(time.Second))), peer, value)
	}
}
