package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/p2pnode/p2pnode/node"
)

// drainMax is how long requests that run may go on when the daemon ends.
const drainMax = 30 * time.Second

func daemonCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "daemon",
		Short: "Run a peer until it is stopped",
		Long: "Run a peer in the foreground; the repo is made if there is none. It prints \"ready\" on standard\n" +
			"error when it serves. The first SIGINT or SIGTERM ends it in order, the second at once. Every\n" +
			"flag is also a key of the configuration (p2pnode config) and a variable of the environment.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := a.repo()
			if err != nil {
				return err
			}
			c, err := loadConfig(dir)
			if err != nil {
				return err
			}
			if err := c.flags(cmd.Flags()); err != nil {
				return err
			}
			return a.daemonRun(cmd.Context(), dir, c)
		},
	}
	f := cmd.Flags()
	f.StringArray("listen", nil, "multiaddr to listen on, port 0 for any; may be repeated")
	f.StringArray("bootstrap", nil, "multiaddr with /p2p/ID of a peer to join by; may be repeated")
	f.String("network", "", "name of the network (default p2pnode)")
	f.Bool("no-mdns", false, "do not look for peers on the local network")
	f.String("psk-file", "", "file with the key of a private network")
	f.String("psk", "", "same as --psk-file")
	f.String("gateway", "", "host:port of the HTTP gateway, or off (default 127.0.0.1:8080)")
	f.String("api", "", "loopback host:port of the control API beside its socket, or off (default off)")
	f.String("limit-up", "", "how fast blocks are sent to peers beyond the local network, such as 2mbit or 1MB; 0 is unlimited (default 0)")
	f.String("limit-down", "", "how fast blocks are received from them (default 0)")
	f.String("log-level", "", "debug, info, warn or error (default warn)")
	return cmd
}

// flags puts the flags that were given over what the configuration has.
func (c config) flags(f *pflag.FlagSet) error {
	for key, v := range c {
		name := v.flagName()
		if key == "psk_file" && f.Changed("psk") {
			name = "psk"
		}
		if key == "mdns" {
			if f.Changed("no-mdns") {
				no, _ := f.GetBool("no-mdns") // it is one
				v.v, v.origin = !no, "--no-mdns"
				c[key] = v
			}
			continue
		}
		if !f.Changed(name) {
			continue
		}
		var err error
		if v.kind == list {
			texts, _ := f.GetStringArray(name) // it is one
			v.v, err = texts, v.valid(texts...)
		} else {
			v.v, err = v.parse(f.Lookup(name).Value.String())
		}
		if err != nil {
			return usage("--%s: %v", name, err)
		}
		v.origin = "--" + name
		c[key] = v
	}
	return nil
}

// nodeOptions is the node that the configuration describes.
func (c config) nodeOptions(dir string, log *slog.Logger) (node.Options, error) {
	psk, err := readPSK(c.text("psk_file"))
	up, _ := parseRate(c.text("limit_up")) // they were checked
	down, _ := parseRate(c.text("limit_down"))
	return node.Options{
		Repo:      dir,
		Network:   c.text("network"),
		Listen:    c.list("listen"),
		Bootstrap: c.list("bootstrap"),
		NoMDNS:    !c.truth("mdns"),
		PSK:       psk,
		Limits:    node.Limits{UpBytesPerSec: up, DownBytesPerSec: down},
		Logger:    log,
	}, err
}

func (a *app) daemonRun(ctx context.Context, dir string, c config) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.text("log_level"))); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
	o, err := c.nodeOptions(dir, log)
	if err != nil {
		return err
	}
	n, err := node.Open(ctx, o)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	d := &daemon{node: n, dir: dir, config: c, log: log, stop: stop}
	if err := d.open(); err != nil {
		return errors.Join(err, d.drop(), n.Close())
	}
	err = d.run(ctx, func() {
		d.announce(a.stderr)
		fmt.Fprintln(a.stderr, "ready")
	})
	return errors.Join(err, d.close())
}
