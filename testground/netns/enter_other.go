//go:build !linux

package netns

import (
	"errors"
	"net/netip"
	"os"
)

func enter(netip.Addr, int) (*os.File, error) {
	return nil, &UnavailableError{errors.New("only Linux has them")}
}
