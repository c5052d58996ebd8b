package main

import (
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
			c, err := a.daemon(cmd.Context())
			if err != nil {
				return err
			}
			defer c.Close()
			err = a.each(cmd.Context(), args, func(addr string) error {
				err := c.Connect(cmd.Context(), addr)
				if err == nil {
					a.note("connected to %s", display(addr))
				}
				return err
			})
			if err != nil {
				return err
			}
			return a.end()
		},
	}
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
			c, err := a.daemon(cmd.Context())
			if err != nil {
				return err
			}
			defer c.Close()
			err = a.each(cmd.Context(), args, func(ref string) error {
				err := c.Provide(cmd.Context(), ref)
				if err == nil {
					a.note("the network is being told of %s", display(ref))
				}
				return err
			})
			if err != nil {
				return err
			}
			return a.end()
		},
	}
}
