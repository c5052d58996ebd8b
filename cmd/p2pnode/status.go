package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/p2pnode/p2pnode/control"
	"github.com/p2pnode/p2pnode/node"
)

func statusCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Tell what the daemon does",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.daemon(cmd.Context())
			if err != nil {
				return err
			}
			defer c.Close()
			st, err := c.Status(cmd.Context())
			if err != nil {
				return err
			}
			return a.result(st, func() error { return a.printStatus(st) })
		},
	}
}

func (a *app) printStatus(st control.Status) error {
	gateway := st.Gateway
	if gateway == "" {
		gateway = "off"
	}
	limits := limitsText(st.Limits)
	if limits != "" {
		limits = "limits   " + limits + "\n"
	}
	_, err := fmt.Fprintf(a.stdout, "peer     %s\nnetwork  %s\npeers    %d\ngateway  %s\nrepo     %s\npid      %d\nup       %s\nversion  %s\n%saddrs    %s\n",
		st.ID, display(st.Network), st.Peers, gateway, display(st.Repo), st.PID,
		time.Duration(st.UpNS).Round(time.Second), st.Version, limits, strings.Join(st.Addrs, "\n         "))
	return err
}

func idCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "id",
		Short: "Print the peer ID, and the addresses of the daemon",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(b *backend) error {
				id, err := b.ID(cmd.Context())
				if err != nil {
					return err
				}
				return a.result(id, func() error {
					return a.lines(append([]string{id.ID}, id.Addrs...))
				})
			})
		},
	}
}

func (a *app) lines(lines []string) error {
	for _, l := range lines {
		if err := a.println(l); err != nil {
			return err
		}
	}
	return nil
}

// stopPoll is how often stop looks whether the daemon has gone.
const stopPoll = 50 * time.Millisecond

func stopCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "stop",
		Short: "End the daemon, and wait until it has",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			c, err := a.daemon(ctx)
			if err != nil {
				return err
			}
			defer c.Close()
			if err := c.Stop(ctx); err != nil {
				return err
			}
			if err := a.awaitUnlock(ctx); err != nil {
				return err
			}
			return a.result(nil, func() error { return nil })
		},
	}
}

// awaitUnlock returns when nobody owns the repo any more.
func (a *app) awaitUnlock(ctx context.Context) error {
	dir, err := a.repo()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, drainMax+5*time.Second)
	defer cancel()
	for {
		locked, err := node.Locked(dir)
		if err != nil || !locked {
			return err
		}
		select {
		case <-time.After(stopPoll):
		case <-ctx.Done():
			return fmt.Errorf("wait for the daemon to end: %w", context.Cause(ctx))
		}
	}
}

func statCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "stat",
		Short: "Print counters of every part of the node",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(b *backend) error {
				st, err := b.Stat(cmd.Context())
				if err != nil {
					return err
				}
				return a.result(st, func() error { return a.printStat(st) })
			})
		},
	}
	c.AddCommand(statExchangeCommand(a))
	return c
}

func (a *app) printStat(st node.Stats) error {
	lines, err := flatten(st)
	if err != nil {
		return err
	}
	return a.lines(lines)
}
