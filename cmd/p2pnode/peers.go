package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/p2pnode/p2pnode/control"
)

func peersCommand(a *app) *cobra.Command {
	return group("peers", "Connect to peers, and list them", peersLsCommand(a), peersConnectCommand(a))
}

func peersLsCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "ls",
		Short: "List connected peers: ID, address, direction, round trip, program",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.daemon(cmd.Context())
			if err != nil {
				return err
			}
			defer c.Close()
			list, err := c.Peers(cmd.Context())
			if err != nil {
				return err
			}
			return a.result(list, func() error {
				for _, p := range list.Peers {
					fields := []string{p.ID, p.Addr, p.Direction, p.RTT.Round(10 * time.Microsecond).String(), p.Agent}
					if a.quiet {
						fields = fields[:1]
					}
					if err := a.println(fields...); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func peersConnectCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "connect MULTIADDR…",
		Short: "Connect to peers by their addresses, as p2pnode id prints them",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.order(cmd.Context(), args, "connected to %s", (*control.Client).Connect)
		},
	}
}

// order has the daemon do something with each argument, and notes which are done.
func (a *app) order(ctx context.Context, args []string, note string, do func(c *control.Client, ctx context.Context, arg string) error) error {
	c, err := a.daemon(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	err = a.each(ctx, args, func(arg string) error {
		err := do(c, ctx, arg)
		if err == nil {
			a.note(note, display(arg))
		}
		return err
	})
	if err != nil {
		return err
	}
	return a.end()
}

func findCommand(a *app) *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "find CID",
		Short: "Find peers that say they have something: ID, addresses",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.daemon(cmd.Context())
			if err != nil {
				return err
			}
			defer c.Close()
			found := 0
			for p, err := range c.Find(cmd.Context(), control.Ref{Ref: args[0], Timeout: timeout}) {
				if err == nil {
					err = a.item(p, p.ID, strings.Join(p.Addrs, " "))
				}
				if err != nil {
					return err
				}
				found++
			}
			if found == 0 {
				return &control.Error{Code: control.CodeNotFound, Message: "no peer says that it has " + args[0], Retryable: true}
			}
			return a.end()
		},
	}
	timeoutFlag(cmd.Flags(), &timeout)
	return cmd
}

func provideCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "provide CID…",
		Short: "Tell the network that this node has something",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.order(cmd.Context(), args, "the network is being told of %s", (*control.Client).Provide)
		},
	}
}
