// Command p2pnode is the face of a node at the command line: it starts daemons,
// adds and fetches files, and tells how things are.
//
// It is not where anything is decided: every command is a call of the control
// API, on the socket of a running daemon, or, when none runs, on the repo
// itself in memory.
//
// Invariant: standard output carries data only, and the exit code tells what
// kind of failure there was (errors.go). Whatever a stranger has named reaches
// neither the terminal nor a path of the file system unchecked.
package main

import "os"

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
