package durability_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/p2pnode/p2pnode/testground/durability"
	"github.com/p2pnode/p2pnode/testground/process"
)

const (
	diskSize   = 2 << 30  // bytes of the disk that loses power, mostly never written
	memorySize = 64 << 20 // bytes of the disk that runs full
	insideEnv  = "P2PNODE_DURABILITY_INSIDE"
)

// inside runs the test again in a mount namespace of its own, so that whatever is mounted there goes
// with the process, and says whether this is that run.
func inside(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideEnv) == t.Name() {
		return true
	}
	if os.Geteuid() != 0 {
		cannotRun(t, "needs root to mount file systems")
	}
	args := []string{"-test.run=^" + t.Name() + "$", "-test.v", "-test.timeout=0"}
	flag.Visit(func(f *flag.Flag) {
		if strings.HasPrefix(f.Name, "durability.") {
			args = append(args, "-"+f.Name+"="+f.Value.String())
		}
	})
	args = append(args, "-durability.binary="+*binaryFlag, "-durability.seed="+flag.Lookup("durability.seed").Value.String())
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), insideEnv+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		cannotRun(t, "may not make a mount namespace")
	}
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
	return false
}

// cannotRun ends a test where the machine lacks what it needs. On CI that is a failure: a campaign
// that silently does not run proves nothing.
func cannotRun(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("cannot run here, but CI demands it: %s", reason)
	}
	t.Skip(reason)
}

func newDisk(t *testing.T) *durability.Disk {
	t.Helper()
	for _, tool := range []string{"mkfs.ext4", "mount"} {
		if _, err := exec.LookPath(tool); err != nil {
			cannotRun(t, err.Error())
		}
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		cannotRun(t, "no loop devices")
	}
	d, err := durability.NewDisk(t.Context(), t.TempDir(), diskSize)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Unmount(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// TestPowerLossIsReal checks the instrument itself: of two files, the one that was not synced is lost.
func TestPowerLossIsReal(t *testing.T) {
	if !inside(t) {
		return
	}
	d := newDisk(t)
	for _, name := range []string{"synced", "not synced"} {
		f, err := os.Create(filepath.Join(d.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(name); err != nil {
			t.Fatal(err)
		}
		if name == "synced" {
			if err := f.Sync(); err != nil {
				t.Fatal(err)
			}
		}
		f.Close()
	}
	losePower(t, d)
	if b, err := os.ReadFile(filepath.Join(d.Dir, "synced")); string(b) != "synced" {
		t.Errorf("a synced file reads %q, %v", b, err)
	}
	if b, _ := os.ReadFile(filepath.Join(d.Dir, "not synced")); len(b) != 0 {
		t.Errorf("a file that was not synced survived: %q", b)
	}
}

func losePower(t *testing.T, d *durability.Disk) {
	t.Helper()
	if err := errors.Join(d.CutPower(), d.Unmount(), d.Mount(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// TestPowerLoss cuts the power under nodes during concurrent adds, through a daemon and without one
// in turn: nothing that was acknowledged is lost.
func TestPowerLoss(t *testing.T) {
	if !inside(t) {
		return
	}
	count, rnd := replayable(t, 2, 60)
	d := newDisk(t)
	c := newCampaign(t, filepath.Join(d.Dir, "repo"))
	for cycle := range count {
		before := len(c.Promises(0))
		if err := powerCycle(t, c, d, cycle, rnd); err != nil {
			t.Fatalf("cycle %d: %v", cycle, err)
		}
		if err := c.Check(t.Context(), before); err != nil {
			t.Fatalf("cycle %d (daemon: %t): %v", cycle, cycle%2 == 0, err)
		}
	}
	checkAll(t, c)
	report(t, c, count, "power losses")
}

func powerCycle(t *testing.T, c *durability.Campaign, d *durability.Disk, cycle int, rnd *rand.Rand) error {
	withDaemon := cycle%2 == 0
	if withDaemon {
		daemon(t, c)
	}
	err := c.Strike(t.Context(), cycle, writers, strikeAfter(rnd), d.CutPower)
	if withDaemon {
		c.Node.Kill()
	}
	return errors.Join(err, d.Unmount(), d.Mount(t.Context()))
}

// TestDiskFull fills the disk under a node: adds are refused with an error, what was added before
// can be read, and with room again the node goes on. Every other pair of cycles leaves no byte free.
func TestDiskFull(t *testing.T) {
	if !inside(t) {
		return
	}
	count, rnd := replayable(t, 4, 20)
	for cycle := range count {
		dir := filepath.Join(t.TempDir(), "small")
		if err := errors.Join(os.Mkdir(dir, 0o700), durability.MountMemory(dir, memorySize)); err != nil {
			t.Fatal(err)
		}
		f := filling{Campaign: newCampaign(t, filepath.Join(dir, "repo")), ballast: filepath.Join(dir, "ballast")}
		f.Seed += uint64(cycle)
		f.daemon = cycle%2 == 0
		f.brim = cycle%4 >= 2
		if err := f.run(t.Context(), rnd); err != nil {
			t.Errorf("cycle %d (daemon: %t, to the brim: %t): %v", cycle, f.daemon, f.brim, err)
		}
		if err := durability.UnmountMemory(dir); err != nil {
			t.Error(err)
		}
	}
}

// filling is a campaign on a small disk.
type filling struct {
	*durability.Campaign
	ballast string // file that others fill the disk with
	daemon  bool   // adds go through one
	brim    bool   // the daemon runs before the disk is full, which then has no byte free
}

// run fills the disk, by ballast and then by adds.
func (f filling) run(ctx context.Context, rnd *rand.Rand) error {
	for range 2 {
		if err := f.Add(ctx, 1<<20); err != nil {
			return err
		}
	}
	size := rnd.Int64N(memorySize)
	var refused error
	if f.brim {
		if size = memorySize; f.daemon {
			if err := f.Node.Start(ctx); err != nil {
				return err
			}
		}
	}
	weigh := os.WriteFile(f.ballast, make([]byte, size), 0o600) // may well be cut short
	if f.daemon && !f.brim {
		refused = f.Node.Start(ctx) // may refuse too, in its own words
	}
	for refused == nil {
		refused = f.Add(ctx, 1+rnd.IntN(2<<20))
	}
	var wrong []error
	if f.brim {
		wrong = append(wrong, f.use(ctx))
	}
	if f.Node.Process != nil {
		f.Node.Kill()
	}
	wrong = append(wrong, durability.Crash(refused), f.Crashes())
	if process.Code(refused) != durability.ExitFull {
		wrong = append(wrong, fmt.Errorf("use a full disk: want exit %d: %w", durability.ExitFull, refused))
	}
	if err := f.Check(ctx, 0); err != nil {
		wrong = append(wrong, fmt.Errorf("read from a full disk (ballast: %v): %w", weigh, err))
	}
	if err := errors.Join(os.Remove(f.ballast), f.Add(ctx, 64<<10), f.Check(ctx, 0)); err != nil {
		wrong = append(wrong, fmt.Errorf("go on with room again: %w", err))
	}
	_, err := f.Node.Command(ctx, "verify")
	return errors.Join(append(wrong, err)...)
}

// use does what must be possible on a disk without a free byte, and stops the daemon, which may
// complain that it could not close its files, but not crash.
func (f filling) use(ctx context.Context) error {
	var wrong error
	if err := f.Check(ctx, 0); err != nil {
		wrong = fmt.Errorf("read from a disk without a free byte: %w", err)
	}
	if _, err := f.Node.Command(ctx, "gc"); err != nil {
		wrong = errors.Join(wrong, fmt.Errorf("collect on a disk without a free byte: %w", err))
	}
	if f.Node.Process == nil {
		return wrong
	}
	// Whatever the node has freed is taken again.
	if err := os.WriteFile(f.ballast+"2", make([]byte, memorySize), 0o600); !errors.Is(err, syscall.ENOSPC) {
		wrong = errors.Join(wrong, fmt.Errorf("fill the disk again: %w", err))
	}
	err := f.Node.Stop()
	if code := process.Code(err); code != 0 && code != durability.ExitFull {
		wrong = errors.Join(wrong, fmt.Errorf("stop: %w", err))
	}
	return errors.Join(wrong, os.Remove(f.ballast+"2"))
}
