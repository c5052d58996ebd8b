package disk_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/ipfs/go-cid"
	"golang.org/x/sys/unix"

	"github.com/p2pnode/p2pnode/blockstore/disk"
	"github.com/p2pnode/p2pnode/blockstore/storetest"
)

// FS_IOC_SHUTDOWN of linux/fs.h, and its way that writes nothing more, not even
// the journal: what a power failure leaves.
const (
	fsShutdown    = 0x8004587d
	fsNoLogFlush  = 2
	powerDiskSize = 512 << 20
)

// TestPowerLoss takes the power from an ext4 file system while writers write to
// it, and looks for what they were promised.
func TestPowerLoss(t *testing.T) {
	if os.Getuid() != 0 {
		t.Log("not root: no file system can be mounted, so power loss is not tested here")
		if os.Getenv("CI") != "" {
			t.Error("the CI must run this as root")
		}
		return
	}
	cycles := 2 * *times
	img, dir := filepath.Join(t.TempDir(), "disk.img"), t.TempDir()
	if err := os.WriteFile(img, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(img, powerDiskSize); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { exec.Command("umount", "-l", dir).Run() }) // an error if all went well
	run(t, "mkfs.ext4", "-q", "-F", img)
	var acked []cid.Cid
	for i := range cycles {
		run(t, "mount", "-o", "loop", img, dir)
		acked = append(acked, killWriter(t, filepath.Join(dir, "store"), 1+rand.IntN(500), func() { powerOff(t, dir) })...)
		run(t, "umount", dir)
		powerOn(t, img, dir)
		s, err := disk.Open(filepath.Join(dir, "store"), killOptions)
		if err != nil {
			t.Errorf("cycle %d: %v", i, err)
		} else {
			checkAcked(t, s, i, acked)
			mustClose(t, s)
		}
		run(t, "umount", dir)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d power losses, %d blocks acknowledged", cycles, len(acked))
}

func powerOff(t *testing.T, dir string) {
	t.Helper()
	d, err := os.Open(dir)
	if err != nil {
		t.Error(err)
		return
	}
	defer d.Close()
	if err := unix.IoctlSetPointerInt(int(d.Fd()), fsShutdown, fsNoLogFlush); err != nil {
		t.Errorf("shut %s down: %v", dir, err)
	}
}

// powerOn mounts img again. The kernel may still be busy with the mount that
// was shut down, and hand it out once more.
func powerOn(t *testing.T, img, dir string) {
	t.Helper()
	const attempts = 100
	for range attempts {
		run(t, "mount", "-o", "loop", img, dir)
		err := os.WriteFile(filepath.Join(dir, "alive"), nil, 0o600)
		if err == nil {
			return
		}
		t.Log(err)
		run(t, "umount", dir)
	}
	t.Fatalf("%s does not come back", img)
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

// TestReadOnlyFileSystem: a store on one is opened for reading, clean or not.
func TestReadOnlyFileSystem(t *testing.T) {
	dir := t.TempDir()
	if !mount(t, dir, "128m") {
		return
	}
	bs := storetest.NewBlocks(t, 20, 300)
	s := open(t, filepath.Join(dir, "clean"), disk.Options{})
	put(t, s, bs...)
	mustClose(t, s)
	copyTree(t, filepath.Join(dir, "killed"), aheadOfIndex(t, bs[:10], bs[10:]))
	run(t, "mount", "-o", "remount,ro", dir)
	for _, name := range []string{"clean", "killed"} {
		s := open(t, filepath.Join(dir, name), disk.Options{})
		mustHave(t, s, bs...)
		if !s.Stats().ReadOnly {
			t.Errorf("%s store is not read-only", name)
		}
		if err := s.Put(t.Context(), bs[0]); !errors.Is(err, disk.ErrReadOnly) {
			t.Errorf("Put: %v", err)
		}
		mustClose(t, s)
	}
	if s, err := disk.Open(filepath.Join(dir, "none"), disk.Options{}); err == nil {
		t.Errorf("a store that was not there was opened: %+v", s.Stats())
		s.Close()
	}
}
