package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

const (
	deviceName   = "wan"
	deviceQueue  = 10_000 // packets that wait for this process: losses are for the model to decide
	cloneDevice  = "/dev/net/tun"
	loopbackName = "lo"
)

// enter takes the calling thread into a network namespace of its own, and returns the
// device that is its way out. The thread cannot come back.
func enter(addr netip.Addr, mtu int) (*os.File, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, &UnavailableError{fmt.Errorf("make a namespace: %w", err)}
	}
	tun, err := openTUN()
	if err != nil {
		return nil, err
	}
	if err := configure(addr, mtu); err != nil {
		return nil, errors.Join(err, tun.Close())
	}
	return tun, nil
}

func openTUN() (*os.File, error) {
	fd, err := unix.Open(cloneDevice, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, &UnavailableError{fmt.Errorf("open %s: %w", cloneDevice, err)}
	}
	req, err := unix.NewIfreq(deviceName)
	if err == nil {
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		return nil, errors.Join(&UnavailableError{fmt.Errorf("make a TUN device: %w", err)}, unix.Close(fd))
	}
	// Only now can it be polled.
	return os.NewFile(uintptr(fd), deviceName), nil
}

// configure gives the calling thread's namespace its addresses.
func configure(addr netip.Addr, mtu int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("configure %s: %w", addr, err)
	}
	defer unix.Close(fd)
	ip := addr.As4()
	up := func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil }
	for _, s := range []struct {
		device  string
		request uint
		set     func(*unix.Ifreq) error
	}{
		{loopbackName, unix.SIOCSIFFLAGS, up},
		{deviceName, unix.SIOCSIFMTU, func(r *unix.Ifreq) error { r.SetUint32(uint32(mtu)); return nil }},
		{deviceName, unix.SIOCSIFTXQLEN, func(r *unix.Ifreq) error { r.SetUint32(deviceQueue); return nil }},
		{deviceName, unix.SIOCSIFADDR, func(r *unix.Ifreq) error { return r.SetInet4Addr(ip[:]) }},
		{deviceName, unix.SIOCSIFNETMASK, func(r *unix.Ifreq) error { return r.SetInet4Addr(netmask[:]) }},
		{deviceName, unix.SIOCSIFFLAGS, up},
	} {
		req, err := unix.NewIfreq(s.device)
		if err == nil {
			err = s.set(req)
		}
		if err == nil {
			err = unix.IoctlIfreq(fd, s.request, req)
		}
		if err != nil {
			return fmt.Errorf("configure %s of %s (request %#x): %w", s.device, addr, s.request, err)
		}
	}
	return nil
}
