//go:build !linux

package netns

func niceness() (int, error) { return 0, nil }
func setNiceness(int) error  { return nil }
func calm(int) error         { return nil }
