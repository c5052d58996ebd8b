package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Memory is what a process occupies, in bytes.
type Memory struct {
	RSS  int64 // now
	Peak int64 // the most so far
}

// Memory reads the resident set of the process from /proc (Linux only).
func (p *Process) Memory() (Memory, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid()))
	if err != nil {
		return Memory{}, fmt.Errorf("read memory of %s: %w", p.command, err)
	}
	var m Memory
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch {
		case err != nil:
		case key == "VmRSS":
			m.RSS = kib << 10
		case key == "VmHWM":
			m.Peak = kib << 10
		}
	}
	if m.Peak == 0 {
		return Memory{}, fmt.Errorf("read memory of %s: no VmHWM", p.command)
	}
	return m, nil
}
