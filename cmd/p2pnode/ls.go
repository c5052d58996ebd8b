package main

import (
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/p2pnode/p2pnode/control"
)

func lsCommand(a *app) *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "ls REF",
		Short: "List a directory: CID, bytes of all blocks, name",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(b *backend) error {
				for it, err := range b.List(cmd.Context(), control.Ref{Ref: args[0], Timeout: timeout}) {
					if err == nil {
						err = a.item(it, it.Cid, strconv.FormatUint(it.Tsize, 10), it.Name)
					}
					if err != nil {
						return err
					}
				}
				return a.end()
			})
		},
	}
	timeoutFlag(cmd.Flags(), &timeout)
	return cmd
}

// end closes a stream of JSON events.
func (a *app) end() error { return a.result(nil, func() error { return nil }) }
