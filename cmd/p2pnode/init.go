package main

import (
	"github.com/spf13/cobra"

	"github.com/p2pnode/p2pnode/node"
)

func initCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "init",
		Short: "Make a repo, if there is none",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			dir, err := a.repo()
			if err != nil {
				return err
			}
			made, err := node.Init(dir)
			if err != nil {
				return err
			}
			return a.result(struct {
				Repo string `json:"repo"`
				Made bool   `json:"made"`
			}{dir, made}, func() error {
				if !made {
					a.note("there is a repo already")
				}
				return a.println(dir)
			})
		},
	}
}
