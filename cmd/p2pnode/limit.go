package main

import (
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/p2pnode/p2pnode/node"
)

// limited is how limits are printed in JSON.
type limited struct {
	node.Limits
	Saved bool `json:"saved,omitempty"` // the file has them too
}

func limitCommand(a *app) *cobra.Command {
	var up, down string
	var save bool
	cmd := &cobra.Command{
		Use:   "limit",
		Short: "Print or change how fast the daemon exchanges blocks",
		Long: "Print how fast the daemon sends and receives blocks at most, or change it at once. Peers on\n" +
			"the same machine or local network do not count. A rate is a number and a unit: kbit, mbit or\n" +
			"gbit, kB, MB or GB, KiB, MiB or GiB, all per second; 0 is unlimited, and " + rateText(node.LimitMin) + " the least. What is\n" +
			"changed holds until the daemon ends. With --save it is written to config.toml as well, whose\n" +
			"limit_up and limit_down hold from the next start on.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			set := make(map[string]string) // keys of the configuration
			for name, text := range map[string]string{"up": up, "down": down} {
				if !cmd.Flags().Changed(name) {
					continue
				}
				if err := checkRate(text); err != nil {
					return usage("--%s: %v", name, err)
				}
				set["limit_"+name] = text
			}
			if save && len(set) == 0 {
				return usage("--save needs --up or --down")
			}
			return a.limit(cmd, set, save)
		},
	}
	f := cmd.Flags()
	f.StringVar(&up, "up", "", "rate to send at, such as 2mbit; 0 is unlimited")
	f.StringVar(&down, "down", "", "rate to receive at, such as 20mbit; 0 is unlimited")
	f.BoolVar(&save, "save", false, "write it to config.toml too")
	return cmd
}

// limit changes what set has, which is valid, and prints what holds then.
func (a *app) limit(cmd *cobra.Command, set map[string]string, save bool) error {
	c, err := a.daemon(cmd.Context())
	if err != nil {
		return err
	}
	defer c.Close()
	l, err := c.Limits(cmd.Context())
	if err != nil {
		return err
	}
	if len(set) > 0 {
		if text, ok := set["limit_up"]; ok {
			l.UpBytesPerSec, _ = parseRate(text)
		}
		if text, ok := set["limit_down"]; ok {
			l.DownBytesPerSec, _ = parseRate(text)
		}
		if l, err = c.SetLimits(cmd.Context(), l); err != nil {
			return err
		}
	}
	switch {
	case save:
		if err := a.saveSettings(set); err != nil {
			return fmt.Errorf("save limits, which hold until the daemon ends: %w", err)
		}
	case len(set) > 0:
		a.note("not saved: it holds until the daemon ends")
	}
	return a.result(limited{l, save}, func() error {
		return a.lines([]string{"up    " + limitText(l.UpBytesPerSec), "down  " + limitText(l.DownBytesPerSec)})
	})
}

// saveSettings writes texts to the configuration of the repo.
func (a *app) saveSettings(set map[string]string) error {
	dir, err := a.existing()
	if err != nil {
		return err
	}
	for key, text := range set {
		if err := setConfig(filepath.Join(dir, configName), key, text); err != nil {
			return err
		}
	}
	return nil
}

// limitText is a limit in bytes/s, as parseRate reads it and as rates are printed elsewhere.
func limitText(limit int64) string {
	if limit == 0 {
		return "unlimited"
	}
	return fmt.Sprintf("%s (%s/s)", rateText(limit), size(limit))
}

// limitsText is both limits in one line, empty if there are none.
func limitsText(l node.Limits) string {
	if l == (node.Limits{}) {
		return ""
	}
	return "up " + limitText(l.UpBytesPerSec) + ", down " + limitText(l.DownBytesPerSec)
}

// rateText is a number of bytes/s in bits, to three digits after the point.
func rateText(limit int64) string {
	bits, unit := float64(limit)*8/1e3, "kbit"
	switch {
	case bits >= 1e6:
		bits, unit = bits/1e6, "gbit"
	case bits >= 1e3:
		bits, unit = bits/1e3, "mbit"
	}
	return strconv.FormatFloat(math.Round(bits*1e3)/1e3, 'f', -1, 64) + unit
}

// rateMax is the highest rate that makes sense, in bytes/s: above it is a mistake.
const rateMax = 1e12

// parseRate reads bytes/s. What could be taken for bits or for bytes, such as 2mb, is refused.
func parseRate(text string) (int64, error) {
	if text == "" || text == "0" {
		return 0, nil
	}
	at := strings.LastIndexAny(text, "0123456789.") + 1
	unit, known := map[string]float64{
		"kbit": 1e3 / 8, "mbit": 1e6 / 8, "gbit": 1e9 / 8,
		"kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
	}[strings.TrimSuffix(text[at:], "/s")]
	v, err := strconv.ParseFloat(text[:at], 64)
	if err != nil || !known || !(v >= 0 && v*unit <= rateMax) {
		return 0, fmt.Errorf("%q is not a rate such as 20mbit or 2.5MB, nor 0", text)
	}
	return int64(v * unit), nil
}

// checkRate tells whether a rate can be a limit.
func checkRate(text string) error {
	v, err := parseRate(text)
	if err == nil && v != 0 && v < node.LimitMin {
		err = fmt.Errorf("%q is less than %s, which is the least", text, rateText(node.LimitMin))
	}
	return err
}
