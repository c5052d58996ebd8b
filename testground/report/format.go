package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// units are the last words of series' names, as people write them.
var units = map[string]string{"s": "s", "ms": "ms", "bytes": "bytes", "mb": "MB", "peers": "peers", "share": "share"}

// titleOf turns find_time_s into "Find time" and "s".
func titleOf(name string) (title, unit string) {
	words := strings.Split(name, "_")
	if last := len(words) - 1; last > 0 {
		if unit = units[words[last]]; unit != "" {
			words = words[:last]
		}
	}
	title = strings.Join(words, " ")
	if title != "" {
		title = strings.ToUpper(title[:1]) + title[1:]
	}
	return title, unit
}

// number writes a value in few characters: 1.25k, 3.4M.
func number(v float64) string {
	sign := ""
	if v < 0 {
		sign, v = "−", -v
	}
	switch {
	case v >= 1e9:
		return sign + short(v/1e9) + "G"
	case v >= 1e6:
		return sign + short(v/1e6) + "M"
	case v >= 1e4:
		return sign + short(v/1e3) + "k"
	default:
		return sign + short(v)
	}
}

// short writes three digits, or the whole number.
func short(v float64) string {
	switch {
	case v == math.Trunc(v) && v < 1e5:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	default:
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
}

// duration writes seconds for people.
func duration(s float64) string {
	switch d := time.Duration(s * float64(time.Second)); {
	case s < 1:
		return d.Round(time.Millisecond).String()
	case s < 100:
		return d.Round(100 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}

// change is how b differs from a, for people.
func change(a, b float64) string {
	switch {
	case a == b:
		return "="
	case a == 0:
		return "new"
	case math.Abs(b/a) >= 10:
		return fmt.Sprintf("×%.3g", b/a)
	default:
		return strings.Replace(fmt.Sprintf("%+.1f %%", 100*(b-a)/math.Abs(a)), "-", "−", 1)
	}
}
