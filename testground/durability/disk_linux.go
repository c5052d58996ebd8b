package durability

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	fsShutdown   = 0x8004587d // FS_IOC_SHUTDOWN
	noLogFlush   = 2          // its mode that writes nothing more, not even the journal
	unmountTries = 100
	unmountPause = 50 * time.Millisecond // for processes that were killed to let go
)

// Disk is an ext4 file system in a file, whose power can be cut. It needs root and loop devices.
type Disk struct {
	Dir   string // where it is mounted
	image string
}

// NewDisk makes a file system of the given size, in bytes, in dir, and mounts it.
func NewDisk(ctx context.Context, dir string, size int64) (*Disk, error) {
	d := &Disk{Dir: filepath.Join(dir, "disk"), image: filepath.Join(dir, "disk.img")}
	f, err := os.Create(d.image)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		return nil, err
	}
	if err := os.Mkdir(d.Dir, 0o700); err != nil {
		return nil, err
	}
	if err := run(ctx, "mkfs.ext4", "-q", "-F", d.image); err != nil {
		return nil, err
	}
	return d, d.Mount(ctx)
}

// Mount mounts the disk, which replays its journal as after a power loss.
func (d *Disk) Mount(ctx context.Context) error {
	return run(ctx, "mount", "-o", "loop", d.image, d.Dir)
}

// CutPower makes the file system forget all that has not reached the disk. Every later operation on
// it is an I/O error.
func (d *Disk) CutPower() error {
	f, err := os.Open(d.Dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), fsShutdown, noLogFlush); err != nil {
		return fmt.Errorf("cut the power of %s: %w", d.Dir, err)
	}
	return nil
}

// Unmount unmounts the disk.
func (d *Disk) Unmount() error { return unmount(d.Dir) }

// MountMemory mounts a file system of the given size, in bytes, that lives in memory. It needs root.
func MountMemory(dir string, size int64) error {
	if err := unix.Mount("none", dir, "tmpfs", 0, "size="+strconv.FormatInt(size, 10)); err != nil {
		return fmt.Errorf("mount %s: %w", dir, err)
	}
	return nil
}

// UnmountMemory ends what MountMemory made.
func UnmountMemory(dir string) error { return unmount(dir) }

func unmount(dir string) error {
	var err error
	for range unmountTries {
		if err = unix.Unmount(dir, 0); err == nil {
			return nil
		}
		time.Sleep(unmountPause)
	}
	return fmt.Errorf("unmount %s: %w", dir, err)
}

func run(ctx context.Context, words ...string) error {
	out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("run %v: %w: %s", words, err, out)
	}
	return nil
}
