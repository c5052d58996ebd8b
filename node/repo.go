package node

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"github.com/libp2p/go-libp2p/core/crypto"
)

// repoVersion is the layout that this program reads and writes:
//
//	version     the number of the layout, as text
//	lock        held while a process owns the repo; its text is that process's id
//	key         the private key, libp2p's protobuf encoding, mode 0600
//	config.toml settings of the command line program
//	blocks/     blockstore/disk
//	state/      badger: pins, provider journal, peers
//	api.sock    control socket of a running daemon
const repoVersion = 1

// Errors of a repo that callers decide on.
var (
	// ErrNoRepo means that the folder holds no repo.
	ErrNoRepo = errors.New("no repo")
	// ErrRepoVersion means a repo of a newer program.
	ErrRepoVersion = errors.New("repo is of a newer version")
	// ErrKeyMode means a private key that others can read.
	ErrKeyMode = errors.New("private key is readable by others")
)

// LockedError means that another process owns the repo.
type LockedError struct {
	Repo string
	PID  int // 0 when the owner left none, or is not of this machine
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("repo locked by another process (%s)", e.Repo)
	}
	return fmt.Sprintf("repo locked by pid %d (%s)", e.PID, e.Repo)
}

// repo is a folder that this process owns until close.
type repo struct {
	dir      string
	lock     *flock.Flock
	key      crypto.PrivKey
	readOnly bool // the file system takes no writes
}

// Init makes a repo in dir if there is none, and tells whether it did.
func Init(dir string) (made bool, err error) {
	if err := CheckRepo(dir); err == nil {
		return false, nil
	} else if !errors.Is(err, ErrNoRepo) {
		return false, err
	}
	r, err := openRepo(dir)
	if err != nil {
		return false, err
	}
	return true, r.close()
}

// CheckRepo tells whether dir holds a repo that this program can open: nil,
// ErrNoRepo or ErrRepoVersion. It takes no lock.
func CheckRepo(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "version"))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("open %s: %w", dir, ErrNoRepo)
	}
	if err != nil {
		return fmt.Errorf("read repo version: %w", err)
	}
	v, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return fmt.Errorf("read repo version in %s: %w", dir, err)
	}
	if v > repoVersion {
		return fmt.Errorf("open %s: version %d, this program knows %d: %w", dir, v, repoVersion, ErrRepoVersion)
	}
	return nil
}

// openRepo takes the lock of dir, making the repo first if there is none.
func openRepo(dir string) (_ *repo, err error) {
	r := &repo{dir: dir}
	err = os.MkdirAll(dir, 0o700)
	if err == nil {
		err = r.takeLock(os.O_CREATE | os.O_RDWR)
	}
	if errors.Is(err, syscall.EROFS) && CheckRepo(dir) == nil {
		r.readOnly = true
		err = r.takeLock(os.O_RDONLY)
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if r.key, err = loadKey(filepath.Join(dir, "key")); err != nil {
		return nil, err
	}
	// The version is written last: a folder that has it has everything.
	switch err := CheckRepo(dir); {
	case errors.Is(err, ErrNoRepo):
		if err := writeFile(filepath.Join(dir, "version"), fmt.Appendf(nil, "%d\n", repoVersion), 0o600); err != nil {
			return nil, fmt.Errorf("make repo: %w", err)
		}
	case err != nil:
		return nil, err
	}
	return r, nil
}

// The owner writes its pid a moment after it has the lock. Who comes in between
// looks again this often, and in the end does without the pid.
const (
	ownerTries = 20
	ownerPause = 10 * time.Millisecond
)

// takeLock takes the lock, or fails with a LockedError that names the owner.
func (r *repo) takeLock(flag int) error {
	path := filepath.Join(r.dir, "lock")
	r.lock = flock.New(path, flock.SetPermissions(0o600), flock.SetFlag(flag))
	for try := 1; ; try++ {
		ok, err := r.lock.TryLock()
		if err != nil {
			return fmt.Errorf("lock repo %s: %w", r.dir, err)
		}
		if ok {
			break
		}
		if pid := readOwner(path); pid != 0 || try == ownerTries {
			return &LockedError{Repo: r.dir, PID: pid}
		}
		time.Sleep(ownerPause)
	}
	// The pid only serves the message above: a full or read-only disk must not
	// keep a repo shut.
	_ = os.WriteFile(path, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o600)
	return nil
}

// readOwner returns the pid in a lock file, or 0 if there is none yet: what a
// former owner left, which was killed, is not the pid of the one that has the
// lock now.
func readOwner(path string) int {
	text, err := os.ReadFile(path)
	line, whole := strings.CutSuffix(string(text), "\n")
	if err != nil || !whole {
		return 0
	}
	pid, err := strconv.Atoi(line)
	if err != nil || pid <= 0 {
		return 0
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return 0 // on Windows; elsewhere every process is found
	}
	defer p.Release()
	if errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone) {
		return 0
	}
	return pid
}

// close gives the repo up. The lock file stays, empty: removing it would let two
// processes lock two files of one name.
func (r *repo) close() error {
	if !r.readOnly && r.lock.Locked() {
		_ = os.Truncate(r.lock.Path(), 0)
	}
	return r.lock.Unlock()
}

// loadKey reads the private key at path, making an Ed25519 key if there is none.
func loadKey(path string) (crypto.PrivKey, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	if modesKept && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("read key %s with mode %04o (run chmod 600): %w", path, info.Mode().Perm(), ErrKeyMode)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	key, err := crypto.UnmarshalPrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w", path, err)
	}
	return key, nil
}

func makeKey(path string) (crypto.PrivKey, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	text, err := crypto.MarshalPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	if err := writeFile(path, text, 0o600); err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return key, nil
}

// writeFile writes a whole file or none: temporary name, sync, rename, sync of
// the folder.
func writeFile(path string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // after the rename there is nothing left to remove
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
