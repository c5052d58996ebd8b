package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/p2pnode/p2pnode/control"
)

func pinCommand(a *app) *cobra.Command {
	return group("pin", "Keep content from being collected", pinAddCommand(a), pinUpdateCommand(a), pinLsCommand(a), pinRmCommand(a))
}

func pinAddCommand(a *app) *cobra.Command {
	var (
		name    string
		timeout time.Duration
	)
	cmd := &cobra.Command{
		Use:   "add REF…",
		Short: "Fetch everything below REF and keep it",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(b *backend) error {
				err := a.each(cmd.Context(), args, func(ref string) error {
					return a.pin(func(progress func(control.Progress)) (control.Pin, error) {
						return b.Pin(cmd.Context(), control.Ref{Ref: ref, Timeout: timeout}, name, progress)
					})
				})
				if err != nil {
					return err
				}
				return a.end()
			})
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "name of the pin")
	timeoutFlag(cmd.Flags(), &timeout)
	return cmd
}

func pinUpdateCommand(a *app) *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "update CID REF",
		Short: "Fetch everything below REF and keep it in the place of a pin, which shares some of it",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(b *backend) error {
				err := a.pin(func(progress func(control.Progress)) (control.Pin, error) {
					return b.UpdatePin(cmd.Context(), args[0], control.Ref{Ref: args[1], Timeout: timeout}, progress)
				})
				if err != nil {
					return err
				}
				return a.end()
			})
		},
	}
	timeoutFlag(cmd.Flags(), &timeout)
	return cmd
}

// pin shows how a pin is getting on, and then which it is.
func (a *app) pin(do func(progress func(control.Progress)) (control.Pin, error)) error {
	m := a.meter("pin")
	defer m.end()
	p, err := do(func(p control.Progress) {
		m.set(p)
		if a.json {
			_ = a.emit("progress", p) // the item after it fails as well
		}
	})
	m.end()
	if err != nil {
		return err
	}
	return a.item(p, p.Cid)
}

// item prints one of many answers.
func (a *app) item(v any, fields ...string) error {
	if a.json {
		return a.emit("item", v)
	}
	return a.println(fields...)
}

func pinLsCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "ls",
		Short: "List pins: CID, name",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(b *backend) error {
				for p, err := range b.Pins(cmd.Context()) {
					fields := []string{p.Cid}
					if p.Name != "" && !a.quiet {
						fields = append(fields, p.Name)
					}
					if err == nil {
						err = a.item(p, fields...)
					}
					if err != nil {
						return err
					}
				}
				return a.end()
			})
		},
	}
}

func pinRmCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "rm CID…",
		Short: "Let go of pins; gc removes what nothing else needs",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(b *backend) error {
				err := a.each(cmd.Context(), args, func(ref string) error {
					p, err := b.Unpin(cmd.Context(), ref)
					if err == nil {
						err = a.item(p, p.Cid)
					}
					return err
				})
				if err != nil {
					return err
				}
				return a.end()
			})
		},
	}
}
