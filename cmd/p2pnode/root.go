package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// newRoot makes the command with all its commands.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "p2pnode",
		Short: "A peer-to-peer content-addressed network",
		Long: "p2pnode adds files under names that are hashes of their content, and fetches them\n" +
			"from whichever peers have them.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		},
		PersistentPreRunE: func(*cobra.Command, []string) error {
			a.running = true
			switch a.progress {
			case "auto", "plain", "none":
				return nil
			}
			return usage("--progress is auto, plain or none, not %q", a.progress)
		},
	}
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetIn(a.stdin)
	f := root.PersistentFlags()
	f.StringVar(&a.repoFlag, "repo", "", "folder of the repo (default $"+repoVar+", else p2pnode in the user's data folder)")
	f.BoolVar(&a.json, "json", false, "print JSON, one object a line")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "print no progress, and as little else as makes sense")
	f.StringVar(&a.progress, "progress", "auto", "auto: a bar if stderr is a terminal; plain: a line now and then; none")
	root.AddCommand(
		initCommand(a), daemonCommand(a), stopCommand(a), statusCommand(a), idCommand(a),
		addCommand(a), getCommand(a), catCommand(a), lsCommand(a), pinCommand(a), gcCommand(a), verifyCommand(a),
		statCommand(a), peersCommand(a), findCommand(a), provideCommand(a), carCommand(a),
		configCommand(a), versionCommand(a), demoCommand(a),
	)
	return root
}

func unknownCommand(cmd *cobra.Command, name string) error {
	err := usage("unknown command %q", name)
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		err.Hint = fmt.Sprintf("did you mean %q?", near[0])
	}
	return err
}

// group is a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return usage("%s needs a command of its own; see p2pnode %s --help", use, use)
		},
	}
	cmd.AddCommand(commands...)
	return cmd
}
