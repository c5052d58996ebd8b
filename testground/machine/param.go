package machine

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Param is a parameter of a scenario. Every one has a default.
type Param struct {
	Name    string
	Default string
	Doc     string
}

// commonParams are those of every scenario.
var commonParams = []Param{
	{"uplink", "50mbit", "of each peer; 0 is unlimited"},
	{"downlink", "50mbit", "of each peer; 0 is unlimited"},
	{"jitter", "5ms", "at most, of each packet"},
	{"loss", "0", "share of packets; each costs a round trip"},
	{"drop", "0", "share of messages that never arrive"},
	{"skew", "0s", "by which clocks are wrong, at most"},
	{"drift", "0", "by which clocks go wrong, at most, in parts per million"},
}

// AllParams lists a scenario's parameters and those that all have; its own come
// first, and may give another default.
func (s Scenario) AllParams() []Param {
	all := slices.Clone(s.Params)
	for _, p := range commonParams {
		if !slices.ContainsFunc(s.Params, func(o Param) bool { return o.Name == p.Name }) {
			all = append(all, p)
		}
	}
	return all
}

// Values are the parameters of a run: those that are given, and of the others the
// defaults. An unknown one is an error.
func (s Scenario) Values(given map[string]string) (map[string]string, error) {
	values := make(map[string]string)
	var names []string
	for _, p := range s.AllParams() {
		values[p.Name] = p.Default
		names = append(names, p.Name)
	}
	for name, v := range given {
		if _, known := values[name]; !known {
			return nil, fmt.Errorf("run %s: no parameter %q; there are %s", s.Name, name, strings.Join(names, ", "))
		}
		values[name] = v
	}
	return values, nil
}

// read reads a parameter; its error is kept for the end of the run.
func read[T any](r *Run, name string, parse func(string) (T, error)) T {
	v, err := parse(r.values[name])
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("parameter %s: %w", name, err)
	}
	return v
}

func (r *Run) text(name string) string { return r.values[name] }

func (r *Run) int(name string) int {
	return read(r, name, func(s string) (int, error) {
		v, err := strconv.Atoi(s)
		if err == nil && v < 0 {
			err = fmt.Errorf("%d is negative", v)
		}
		return v, err
	})
}

func (r *Run) share(name string) float64 {
	return read(r, name, func(s string) (float64, error) {
		v, err := strconv.ParseFloat(s, 64)
		if err == nil && !(v >= 0 && v <= 1) {
			err = fmt.Errorf("%v is not between 0 and 1", v)
		}
		return v, err
	})
}

func (r *Run) duration(name string) time.Duration {
	return read(r, name, func(s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		if err == nil && d < 0 {
			err = fmt.Errorf("%v is negative", d)
		}
		return d, err
	})
}

// rate reads bits per second: a number with kbit, mbit, gbit or nothing.
func (r *Run) rate(name string) int {
	return read(r, name, func(s string) (int, error) {
		number, unit := strings.ToLower(s), 1.0
		for suffix, u := range map[string]float64{"kbit": 1e3, "mbit": 1e6, "gbit": 1e9} {
			if rest, ok := strings.CutSuffix(number, suffix); ok {
				number, unit = rest, u
			}
		}
		v, err := strconv.ParseFloat(number, 64)
		if err != nil || !(v >= 0 && v*unit <= 1e12) {
			return 0, fmt.Errorf("%q is not a rate such as 20mbit", s)
		}
		return int(v * unit), nil
	})
}
