package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/p2pnode/p2pnode/control"
)

func offerCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "offer CID PEER…",
		Short: "Tell connected peers, by their IDs, of content that they may fetch",
		Args:  cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.order(cmd.Context(), args[1:], "offered to %s", func(c *control.Client, ctx context.Context, peer string) error {
				return c.Offer(ctx, args[0], peer)
			})
		},
	}
}

func offersCommand(a *app) *cobra.Command {
	follow := false
	cmd := &cobra.Command{
		Use:   "offers",
		Short: "List what peers have offered: CID, bytes, peer; pin add or get fetches it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.daemon(cmd.Context())
			if err != nil {
				return err
			}
			defer c.Close()
			for o, err := range c.Offers(cmd.Context(), follow) {
				if err == nil {
					err = a.item(o, o.CID, strconv.FormatInt(o.Size, 10), o.Peer)
				}
				if err != nil {
					return err
				}
			}
			return a.end()
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "wait for more")
	return cmd
}
