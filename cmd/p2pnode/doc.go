package main

import (
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/p2pnode/p2pnode/control"
)

func docCommand(a *app) *cobra.Command {
	return group("doc", "Documents that many people edit, and that merge",
		docCreateCommand(a), docOpenCommand(a), docLsCommand(a), docGetCommand(a), docAtCommand(a), docSetCommand(a), docRmCommand(a), docEditCommand(a),
		docWatchCommand(a), docLogCommand(a), docShareCommand(a), docWritersCommand(a),
		docExportCommand(a), docImportCommand(a), docForgetCommand(a), docCompactCommand(a), docForkCommand(a))
}

// docAt makes a command about one document, whose first argument is its name or ID.
func (a *app) docAt(use, short string, args cobra.PositionalArgs, f func(cmd *cobra.Command, b *backend, args []string) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
		return a.with(cmd.Context(), func(b *backend) error { return f(cmd, b, args) })
	}}
}

func docCreateCommand(a *app) *cobra.Command {
	return a.docAt("create NAME", "Make a document and print its ID", cobra.ExactArgs(1),
		func(cmd *cobra.Command, b *backend, args []string) error {
			d, err := b.CreateDoc(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.result(d, func() error { return a.println(d.ID) })
		})
}

func docOpenCommand(a *app) *cobra.Command {
	var name string
	var timeout time.Duration
	cmd := a.docAt("open TICKET", "Take part in a document, given by a ticket or its ID, and print its ID", cobra.ExactArgs(1),
		func(cmd *cobra.Command, b *backend, args []string) error {
			d, err := b.OpenDoc(cmd.Context(), args[0], name, timeout)
			if err != nil {
				return err
			}
			return a.result(d, func() error { return a.println(d.ID) })
		})
	cmd.Flags().StringVar(&name, "name", "", "name of the document here, with a ticket")
	timeoutFlag(cmd.Flags(), &timeout)
	return cmd
}

func docLsCommand(a *app) *cobra.Command {
	return a.docAt("ls", "List documents: ID, commits, name", cobra.NoArgs,
		func(cmd *cobra.Command, b *backend, _ []string) error {
			for d, err := range b.Docs(cmd.Context()) {
				if err == nil {
					err = a.item(d, d.ID, strconv.Itoa(d.Commits), d.Name)
				}
				if err != nil {
					return err
				}
			}
			return a.end()
		})
}

// pathOf is the place that arguments name.
func pathOf(args []string) control.DocPath {
	at := control.DocPath{Doc: args[0]}
	if len(args) > 1 {
		at.Path = args[1]
	}
	return at
}

func docGetCommand(a *app) *cobra.Command {
	return a.docAt("get NAME [/PATH]", "Print what is in a document: text as it is, anything else as JSON with sorted keys", cobra.RangeArgs(1, 2),
		func(cmd *cobra.Command, b *backend, args []string) error {
			v, err := b.GetDoc(cmd.Context(), pathOf(args))
			if err != nil {
				return err
			}
			return a.value(v)
		})
}

// value prints what is in a document.
func (a *app) value(v json.RawMessage) error {
	return a.result(control.Value{Value: v}, func() error {
		var text string
		if json.Unmarshal(v, &text) != nil {
			text = string(v)
		}
		if !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		_, err := io.WriteString(a.stdout, text)
		return err
	})
}

// edited prints the commit of an edit.
func (a *app) edited(e control.Edited, err error) error {
	if err != nil {
		return err
	}
	return a.result(e, func() error {
		if e.Commit == "" {
			a.note("nothing has changed")
			return nil
		}
		return a.println(e.Commit)
	})
}

func docSetCommand(a *app) *cobra.Command {
	return a.docAt("set NAME /PATH VALUE", "Set a value: null, true, false, a number, or text", cobra.ExactArgs(3),
		func(cmd *cobra.Command, b *backend, args []string) error {
			value := args[2]
			if !json.Valid([]byte(value)) {
				text, err := json.Marshal(value)
				if err != nil {
					return err
				}
				value = string(text)
			}
			return a.edited(b.SetDoc(cmd.Context(), pathOf(args), value))
		})
}

func docRmCommand(a *app) *cobra.Command {
	return a.docAt("rm NAME /PATH", "Remove what is there; what others change there at the same time stays", cobra.ExactArgs(2),
		func(cmd *cobra.Command, b *backend, args []string) error {
			return a.edited(b.RemoveDoc(cmd.Context(), pathOf(args)))
		})
}

func docEditCommand(a *app) *cobra.Command {
	return a.docAt("edit NAME /PATH", "Make a text be what standard input says, by changing what differs", cobra.ExactArgs(2),
		func(cmd *cobra.Command, b *backend, args []string) error {
			return a.edited(b.PutText(cmd.Context(), pathOf(args), a.stdin))
		})
}

func docWatchCommand(a *app) *cobra.Command {
	return a.docAt("watch NAME", "Print what changes: path, author, whether by this node; / is anything", cobra.ExactArgs(1),
		func(cmd *cobra.Command, b *backend, args []string) error {
			for d, err := range b.WatchDoc(cmd.Context(), args[0]) {
				if err == nil {
					err = a.item(d, deltaFields(d)...)
				}
				if err != nil {
					return err
				}
			}
			return a.end()
		})
}

func deltaFields(d control.Delta) []string {
	fields := []string{d.Path}
	if d.Path == "" {
		fields[0] = "/"
	}
	if d.Author != "" {
		fields = append(fields, d.Author)
	}
	if d.Local {
		fields = append(fields, "local")
	}
	if d.Voided {
		fields = append(fields, "voided")
	}
	return fields
}

func docLogCommand(a *app) *cobra.Command {
	return a.docAt("log NAME", "List commits: gen, time by the author's clock, author, bytes, ID", cobra.ExactArgs(1),
		func(cmd *cobra.Command, b *backend, args []string) error {
			for e, err := range b.DocLog(cmd.Context(), args[0]) {
				if err == nil {
					err = a.item(e, strconv.FormatUint(e.Gen, 10), e.Time.Format(time.RFC3339), e.Author, strconv.Itoa(e.Size), e.ID)
				}
				if err != nil {
					return err
				}
			}
			return a.end()
		})
}

func docShareCommand(a *app) *cobra.Command {
	var role, author string
	cmd := a.docAt("share NAME", "Print a ticket by which somebody takes part in a document", cobra.ExactArgs(1),
		func(cmd *cobra.Command, b *backend, args []string) error {
			t, err := b.ShareDoc(cmd.Context(), args[0], role, author)
			if err != nil {
				return err
			}
			return a.result(t, func() error { return a.println(t.Ticket) })
		})
	cmd.Long = "Print a ticket by which somebody takes part in a document: p2pnode doc open TICKET. With --role\n" +
		"write or manage, the first who opens it within seven days, while this daemon runs, gets that\n" +
		"role; with --author too, that author gets it at once."
	cmd.Flags().StringVar(&role, "role", "read", "read, write or manage")
	cmd.Flags().StringVar(&author, "author", "", "public key, in hex, of who gets the role")
	return cmd
}

func docWritersCommand(a *app) *cobra.Command {
	var grant, role string
	cmd := a.docAt("writers NAME", "List who has a role in a document, or change it", cobra.ExactArgs(1),
		func(cmd *cobra.Command, b *backend, args []string) error {
			if grant != "" {
				if err := b.Grant(cmd.Context(), args[0], grant, role); err != nil {
					return err
				}
			}
			for m, err := range b.DocMembers(cmd.Context(), args[0]) {
				if err == nil {
					err = a.item(m, m.Author, m.Role)
				}
				if err != nil {
					return err
				}
			}
			return a.end()
		})
	cmd.Flags().StringVar(&grant, "grant", "", "public key, in hex, of who gets another role first")
	cmd.Flags().StringVar(&role, "role", "write", "none, read, write or manage")
	return cmd
}
