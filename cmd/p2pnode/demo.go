package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func demoCommand(a *app) *cobra.Command {
	return &cobra.Command{Use: "demo [FILE]", RunE: func(*cobra.Command, []string) error { return errors.New("soon") }}
}
