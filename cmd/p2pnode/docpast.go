package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/p2pnode/p2pnode/control"
)

func docAtCommand(a *app) *cobra.Command {
	return a.docAt("at NAME HEAD… [/PATH]", "Print what was in a document as of a version, given by its newest commits", cobra.MinimumNArgs(2),
		func(cmd *cobra.Command, b *backend, args []string) error {
			at, heads := control.DocPath{Doc: args[0]}, args[1:]
			if last := len(heads) - 1; strings.HasPrefix(heads[last], "/") {
				at.Path, heads = heads[last], heads[:last]
			}
			v, err := b.DocAt(cmd.Context(), at, heads...)
			if err != nil {
				return err
			}
			return a.value(v)
		})
}

func docForkCommand(a *app) *cobra.Command {
	return a.docAt("fork NAME NEW [HEAD…]", "Make a document that begins with what another holds, or held as of a version, and print its ID", cobra.MinimumNArgs(2),
		func(cmd *cobra.Command, b *backend, args []string) error {
			d, err := b.ForkDoc(cmd.Context(), args[0], args[1], args[2:]...)
			if err != nil {
				return err
			}
			return a.result(d, func() error { return a.println(d.ID) })
		})
}

func docExportCommand(a *app) *cobra.Command {
	return a.docAt("export NAME FILE", "Write a document with all its history to a file (CAR); - is standard output", cobra.ExactArgs(2),
		func(cmd *cobra.Command, b *backend, args []string) error {
			if args[1] != "-" {
				return a.exportDoc(cmd.Context(), b, args[0], args[1])
			}
			if isTerminal(a.stdout) {
				return usage("an archive is not for a terminal: redirect it to a file")
			}
			d, err := b.ExportDoc(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer d.Close()
			return copyTo(a.stdout, d)
		})
}

// exportDoc writes an archive under another name until all of it is there.
func (a *app) exportDoc(ctx context.Context, b *backend, doc, name string) error {
	d, err := b.ExportDoc(ctx, doc)
	if err != nil {
		return err
	}
	defer d.Close()
	part := name + ".part"
	f, err := os.Create(part)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, d)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(part, name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return a.end()
}

func docForgetCommand(a *app) *cobra.Command {
	return a.docAt("forget NAME", "Remove a document from this node, with own edits that nobody else has", cobra.ExactArgs(1),
		func(cmd *cobra.Command, b *backend, args []string) error {
			return b.ForgetDoc(cmd.Context(), args[0])
		})
}

func docCompactCommand(a *app) *cobra.Command {
	cmd := a.docAt("compact NAME", "Forget the history of a document as far as all who write have agreed", cobra.ExactArgs(1),
		func(cmd *cobra.Command, b *backend, args []string) error {
			c, err := b.CompactDoc(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if n := len(c.Awaited); n > 0 {
				a.note("%d more must edit the document, or compact it: %s", n, strings.Join(c.Awaited, " "))
			}
			return a.result(c, func() error { return a.println(strconv.Itoa(c.Forgotten), cmp.Or(c.Horizon, "-")) })
		})
	cmd.Long = "Forget the history of a document before its horizon, on this node. Who created it names the horizon by this, and\n" +
		"whoever may write agrees to it, as by any edit: so when all of them have run it, the history can be forgotten everywhere.\n" +
		"Prints how many commits were forgotten, and the one before which nothing is kept."
	return cmd
}

func docImportCommand(a *app) *cobra.Command {
	cmd := a.docAt("import FILE [NAME]", "Keep a document that was exported, and print its ID; - is standard input", cobra.RangeArgs(1, 2),
		func(cmd *cobra.Command, b *backend, args []string) error {
			in, name := a.stdin, ""
			if len(args) > 1 {
				name = args[1]
			}
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				in = f
			}
			d, err := b.ImportDoc(cmd.Context(), in, name)
			if err != nil {
				return err
			}
			return a.result(d, func() error { return a.println(d.ID) })
		})
	cmd.Long = "Keep a document that p2pnode doc export has written, and print its ID. If the document is here already,\n" +
		"what it lacks is added to it. An archive that is damaged, or not whole, is refused."
	return cmd
}
