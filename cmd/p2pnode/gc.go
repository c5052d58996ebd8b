package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/p2pnode/p2pnode/control"
	"github.com/p2pnode/p2pnode/node"
)

func gcCommand(a *app) *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Remove blocks that no pin needs",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(b *backend) error {
				r, err := b.GC(cmd.Context(), dry)
				if err != nil {
					return err
				}
				return a.result(r, func() error {
					verb := "removed"
					if dry {
						verb = "would remove"
					}
					return a.println(fmt.Sprintf("%s %s (%s), kept %d", verb, count(r.Removed, "block"), count(r.Freed, "byte"), r.Kept))
				})
			})
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "count garbage and remove nothing")
	return cmd
}

func verifyCommand(a *app) *cobra.Command {
	var rebuild bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Read and hash every block of the repo",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			verify := func(b *backend) error { return a.verify(cmd.Context(), b) }
			if !rebuild {
				return a.with(cmd.Context(), verify)
			}
			dir, err := a.existing()
			if err != nil {
				return err
			}
			b, err := openLocal(cmd.Context(), node.Options{Repo: dir, Offline: true, RebuildIndex: true})
			if err != nil {
				return err
			}
			return b.use(verify)
		},
	}
	cmd.Flags().BoolVar(&rebuild, "rebuild-index", false, "make the index anew from the segments first; no daemon may run")
	return cmd
}

func (a *app) verify(ctx context.Context, b *backend) error {
	r, err := b.Verify(ctx, func(p node.VerifyProblem) { _ = a.printProblem(p) }) // the summary fails as well
	if err != nil {
		return err
	}
	if r.Corrupt > r.Repaired {
		return &control.Error{Code: control.CodeCorrupt,
			Message: fmt.Sprintf("damaged: %d of %s", r.Corrupt-r.Repaired, count(r.Blocks, "block")),
			Hint:    "what is damaged is in quarantine; p2pnode pin add CID fetches what is missing again"}
	}
	return a.result(r, func() error { return a.printFlat(r) })
}

func (a *app) printProblem(p node.VerifyProblem) error {
	if a.json {
		return a.emit("item", p)
	}
	return a.printFlat(p)
}

func (a *app) printFlat(v any) error {
	lines, err := flatten(v)
	if err != nil {
		return err
	}
	return a.lines(lines)
}
