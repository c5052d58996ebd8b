package main

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/p2pnode/p2pnode/control"
)

// copySize is what is moved at once, in bytes.
const copySize = 1 << 20

func catCommand(a *app) *cobra.Command {
	var (
		offset, length int64
		timeout        time.Duration
	)
	cmd := &cobra.Command{
		Use:   "cat REF",
		Short: "Print a file, or a part of it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if offset < 0 || cmd.Flags().Changed("length") && length < 0 {
				return usage("--offset and --length are numbers of bytes, 0 or more")
			}
			return a.with(cmd.Context(), func(b *backend) error {
				return a.cat(cmd.Context(), b, control.Ref{Ref: args[0], Timeout: timeout}, offset, length)
			})
		},
	}
	f := cmd.Flags()
	f.Int64Var(&offset, "offset", 0, "bytes to skip")
	f.Int64Var(&length, "length", -1, "bytes to print (default: to the end)")
	timeoutFlag(f, &timeout)
	return cmd
}

func (a *app) cat(ctx context.Context, b *backend, ref control.Ref, offset, length int64) error {
	m := a.meter("cat")
	defer m.end()
	id, unwatch := watch(ctx, b, m)
	defer unwatch()
	d, err := b.Cat(ctx, ref, offset, length, id)
	if err != nil {
		return err
	}
	defer d.Close()
	m.total.Store(max(0, d.Size))
	return copyTo(io.MultiWriter(a.stdout, m), d)
}

// copyTo copies with a buffer that makes few system calls.
func copyTo(w io.Writer, r io.Reader) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, make([]byte, copySize))
	return err
}
