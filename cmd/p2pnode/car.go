package main

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/p2pnode/p2pnode/control"
)

func carCommand(a *app) *cobra.Command {
	return group("car", "Move content by archives of blocks (CAR)", carExportCommand(a), carImportCommand(a))
}

func carExportCommand(a *app) *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "export REF",
		Short: "Write everything below REF to standard output as CARv1",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if isTerminal(a.stdout) {
				return usage("an archive is not for a terminal: redirect it to a file")
			}
			return a.with(cmd.Context(), func(b *backend) error {
				m := a.meter("export")
				defer m.end()
				d, err := b.ExportCAR(cmd.Context(), control.Ref{Ref: args[0], Timeout: timeout})
				if err != nil {
					return err
				}
				defer d.Close()
				return copyTo(io.MultiWriter(a.stdout, m), d)
			})
		},
	}
	timeoutFlag(cmd.Flags(), &timeout)
	return cmd
}

func carImportCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE…",
		Short: "Store the blocks of archives and pin their roots; - is standard input",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(b *backend) error {
				err := a.each(cmd.Context(), args, func(name string) error {
					return a.carImport(cmd.Context(), b, name)
				})
				if err != nil {
					return err
				}
				return a.end()
			})
		},
	}
}

func (a *app) carImport(ctx context.Context, b *backend, name string) error {
	m := a.meter("import")
	defer m.end()
	in := a.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil {
			m.total.Store(info.Size())
		}
		in = f
	}
	roots, err := b.ImportCAR(ctx, io.TeeReader(in, m))
	m.end()
	if err != nil {
		return err
	}
	for _, c := range roots.Roots {
		if err := a.item(control.Pin{Cid: c}, c); err != nil {
			return err
		}
	}
	return nil
}
