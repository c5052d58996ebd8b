//go:build !windows

package main

// checkSystemName has nothing to add: a slash and a zero byte are all that Unix
// refuses.
func checkSystemName(string) error { return nil }
