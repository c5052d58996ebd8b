package main

import "github.com/rogpeppe/go-internal/testscript"

func signalDaemon(ts *testscript.TestScript, _ bool, _ []string) { ts.Fatalf("not on Windows") }
func tmpfs(ts *testscript.TestScript, _ bool, _ []string)        { ts.Fatalf("not on Windows") }
