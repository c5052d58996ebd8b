package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/p2pnode/p2pnode/control"
)

// newRoot makes the command with all its commands.
func newRoot(a *app) *cobra.Command {
	var version bool
	root := &cobra.Command{
		Use:   "p2pnode",
		Short: "A peer-to-peer content-addressed network",
		Long: "p2pnode adds files under names that are hashes of their content, and fetches them\n" +
			"from whichever peers have them.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 0:
				return unknownCommand(cmd, args[0])
			case version:
				return a.version()
			}
			return cmd.Help()
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
	root.Flags().BoolVar(&version, "version", false, "print the versions of p2pnode and Go")
	root.AddCommand(
		initCommand(a), daemonCommand(a), stopCommand(a), statusCommand(a), idCommand(a),
		addCommand(a), getCommand(a), catCommand(a), lsCommand(a), pinCommand(a), gcCommand(a), verifyCommand(a),
		docCommand(a), statCommand(a), limitCommand(a), peersCommand(a), findCommand(a), provideCommand(a), offerCommand(a), offersCommand(a), carCommand(a),
		configCommand(a), versionCommand(a), demoCommand(a),
	)
	root.SetHelpCommand(helpCommand())
	root.InitDefaultCompletionCmd("completion")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &control.Error{Code: control.CodeUsage, Message: err.Error(), Hint: seeHelp(cmd)}
	})
	explainArgs(root)
	return root
}

func unknownCommand(cmd *cobra.Command, name string) error {
	err := usage("unknown command %q", name)
	err.Hint = seeHelp(cmd)
	if near := nearest(cmd, name); near != "" {
		err.Hint = fmt.Sprintf("did you mean %q?", near)
	}
	return err
}

// nearest is the command whose name has one letter more, less or other, or the
// same letters in another order; names are too short to look further.
func nearest(cmd *cobra.Command, name string) string {
	letters := func(s string) string {
		b := []byte(s)
		slices.Sort(b)
		return string(b)
	}
	for _, c := range cmd.Commands() {
		if letters(c.Name()) == letters(name) {
			return c.Name()
		}
	}
	cmd.SuggestionsMinimumDistance = 1
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		return near[0]
	}
	return ""
}

// shortPath is the path of a command without the program.
func shortPath(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}

func seeHelp(cmd *cobra.Command) string { return "see " + cmd.CommandPath() + " --help" }

// helpCommand is cobra's, but knows what it does not know.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about any command",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil {
				return err
			}
			if len(rest) > 0 && about.HasSubCommands() {
				return unknownCommand(about, rest[0])
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

// explainArgs has every command say what it misses, by the words of its own
// usage, and has groups refuse what is none of their commands.
func explainArgs(parent *cobra.Command) {
	for _, cmd := range parent.Commands() {
		explainArgs(cmd)
		if cmd.RunE == nil && cmd.Run == nil {
			cmd.RunE, cmd.Args = needCommand, nil
			continue
		}
		check := cmd.Args
		if check == nil {
			continue
		}
		if cmd.ValidArgsFunction == nil {
			cmd.ValidArgsFunction = completeArgs
		}
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if check(cmd, args) == nil {
				return nil
			}
			_, wants, _ := strings.Cut(cmd.Use, " ")
			wants, _, _ = strings.Cut(wants, " [")
			words := strings.Fields(wants)
			var err *control.Error
			if len(args) > len(words) {
				err = usage("%s: unexpected argument %q", shortPath(cmd), args[len(words)])
			} else {
				err = usage("%s: missing %s", shortPath(cmd), strings.Join(words[len(args):], " "))
			}
			err.Hint = "usage: " + cmd.CommandPath() + strings.TrimPrefix(cmd.Use, cmd.Name()) + "; " + seeHelp(cmd)
			return err
		}
	}
}

// completeArgs offers what a shell can complete: files where the usage names
// such, the keys of the configuration, and nothing for what is a CID.
func completeArgs(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	switch {
	case strings.Contains(cmd.Use, "PATH") || strings.Contains(cmd.Use, "FILE"):
		return nil, cobra.ShellCompDirectiveDefault
	case strings.Contains(cmd.Use, "KEY") && len(args) == 0:
		var keys []string
		for _, s := range settings() {
			keys = append(keys, s.key+"\t"+s.doc)
		}
		return keys, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// needCommand runs a command that only holds others.
func needCommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return unknownCommand(cmd, args[0])
	}
	err := usage("%s needs a command of its own", shortPath(cmd))
	err.Hint = seeHelp(cmd)
	return err
}

// group is a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short}
	cmd.AddCommand(commands...)
	return cmd
}
