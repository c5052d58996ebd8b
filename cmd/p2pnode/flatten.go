package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// flatten turns a value into lines "key value", nested keys joined by dots, so
// that what JSON has and what text has are the same.
func flatten(v any) ([]string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // counters go beyond what a float64 keeps
	var tree any
	if err := d.Decode(&tree); err != nil {
		return nil, err
	}
	var lines []string
	var walk func(key string, v any)
	walk = func(key string, v any) {
		if key != "" {
			key += "."
		}
		switch v := v.(type) {
		case map[string]any:
			for k, v := range v {
				walk(key+k, v)
			}
		case []any:
			for i, v := range v {
				walk(fmt.Sprintf("%s%d", key, i), v)
			}
		default:
			lines = append(lines, fmt.Sprintf("%s %v", strings.TrimSuffix(key, "."), v))
		}
	}
	walk("", tree)
	slices.Sort(lines)
	return lines, nil
}
