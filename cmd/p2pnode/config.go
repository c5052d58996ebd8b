package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

func configCommand(a *app) *cobra.Command {
	return group("config", "Read and change the configuration",
		configGetCommand(a), configSetCommand(a), configListCommand(a), configCheckCommand(a), configExplainCommand(a))
}

// setJSON is how a setting is printed in JSON.
type setJSON struct {
	Key     string `json:"key"`
	Value   any    `json:"value"`
	Origin  string `json:"origin"`
	Default any    `json:"default"`
	Env     string `json:"env"`
	Doc     string `json:"doc"`
}

func (v value) json() setJSON {
	return setJSON{Key: v.key, Value: v.v, Origin: v.origin, Default: v.missing, Env: v.env(), Doc: v.doc}
}

// String is the value as get prints and set takes it.
func (v value) String() string { return show(v.v) }

func show(v any) string {
	if texts, ok := v.([]string); ok {
		return strings.Join(texts, ",")
	}
	return fmt.Sprint(v)
}

// effective loads the configuration of an existing repo.
func (a *app) effective() (config, error) {
	dir, err := a.existing()
	if err != nil {
		return nil, err
	}
	return loadConfig(dir)
}

func configGetCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "get KEY",
		Short: "Print the value that holds",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if _, err := findSetting(args[0]); err != nil {
				return err
			}
			c, err := a.effective()
			if err != nil {
				return err
			}
			v := c[args[0]]
			return a.result(v.json(), func() error { return a.println(v.String()) })
		},
	}
}

func configListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Print every key, its value and where that comes from",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := a.effective()
			if err != nil {
				return err
			}
			for _, s := range settings() {
				v := c[s.key]
				line := fmt.Sprintf("%s = %s", v.key, v)
				if !a.quiet {
					line += "  # " + v.origin
				}
				if err := a.item(v.json(), line); err != nil {
					return err
				}
			}
			return a.end()
		},
	}
}

func configCheckCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Tell whether the configuration is valid",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := a.effective()
			if err != nil {
				return err
			}
			if _, err := readPSK(c.text("psk_file")); err != nil {
				return err
			}
			return a.end()
		},
	}
}

func configExplainCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "explain KEY",
		Short: "Tell what a key means, its value and where that comes from",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			s, err := findSetting(args[0])
			if err != nil {
				return err
			}
			c, err := a.effective()
			if err != nil {
				return err
			}
			v := c[s.key]
			return a.result(v.json(), func() error {
				return a.lines([]string{
					v.key + ": " + v.doc,
					"value    " + v.String(),
					"origin   " + v.origin,
					"default  " + show(v.missing),
					"env      $" + v.env(),
				})
			})
		},
	}
}

func configSetCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "set KEY VALUE",
		Short: "Change a value in the file; a list is separated by commas",
		Long:  "Change a value in config.toml of the repo. Comments and order stay. A running daemon reads it when\nit starts the next time.",
		Args:  cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			s, err := findSetting(args[0])
			if err != nil {
				return err
			}
			v, err := s.parse(args[1])
			if err != nil {
				return invalid("p2pnode config explain "+s.key, "set %s: %v", s.key, err)
			}
			dir, err := a.existing()
			if err != nil {
				return err
			}
			if err := setConfig(filepath.Join(dir, configName), s.key, v); err != nil {
				return err
			}
			return a.end()
		},
	}
}

// setConfig changes one key of the file and keeps everything else as it is.
func setConfig(path, key string, v any) error {
	if _, err := readConfig(path); err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	edited, err := editConfig(string(data), key, v)
	if err != nil {
		return err
	}
	if _, err := parseConfig(path, []byte(edited)); err != nil {
		return fmt.Errorf("set %s: the result would not be valid, nothing was changed: %w", key, err)
	}
	temp := path + ".new"
	if err := os.WriteFile(temp, []byte(edited), 0o600); err != nil {
		return err
	}
	return os.Rename(temp, path)
}
