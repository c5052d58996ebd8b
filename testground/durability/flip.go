package durability

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// Flip is one bit turned over in one file of a repo.
type Flip struct {
	Path   string // of the file, relative to the repo
	Offset int64  // bytes
	Bit    uint
}

func (f Flip) String() string { return fmt.Sprintf("%s, byte %d, bit %d", f.Path, f.Offset, f.Bit) }

const zeroTries = 1000

// ChooseFlip chooses a bit: every other time among all bytes, else among all files, so that small
// files, which rule large ones, have their share. It prefers bytes that are not zero, since most
// zeros are room that was set aside.
func ChooseFlip(repo string, rnd *rand.Rand) (f Flip, err error) {
	for range zeroTries {
		if f, err = chooseAny(repo, rnd); err != nil {
			return f, err
		}
		if b, err := f.read(repo); b != 0 || err != nil {
			return f, err
		}
	}
	return f, nil
}

func (f Flip) read(repo string) (byte, error) {
	file, err := os.Open(filepath.Join(repo, f.Path))
	if err != nil {
		return 0, err
	}
	defer file.Close()
	b := make([]byte, 1)
	_, err = file.ReadAt(b, f.Offset)
	return b[0], err
}

func chooseAny(repo string, rnd *rand.Rand) (Flip, error) {
	var names []string
	var sizes []int64
	var total int64
	err := filepath.WalkDir(repo, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil || info.Size() == 0 {
			return err
		}
		name, err := filepath.Rel(repo, path)
		names, sizes, total = append(names, name), append(sizes, info.Size()), total+info.Size()
		return err
	})
	if err != nil {
		return Flip{}, err
	}
	if total == 0 {
		return Flip{}, fmt.Errorf("choose a bit in %s: no bytes", repo)
	}
	i := rnd.IntN(len(names))
	if rnd.IntN(2) == 0 {
		at := rnd.Int64N(total)
		for i = 0; at >= sizes[i]; i++ {
			at -= sizes[i]
		}
	}
	return Flip{Path: names[i], Offset: rnd.Int64N(sizes[i]), Bit: uint(rnd.IntN(8))}, nil
}

// Apply turns the bit over in the repo.
func (f Flip) Apply(repo string) error {
	file, err := os.OpenFile(filepath.Join(repo, f.Path), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	b, err := f.read(repo)
	if err != nil {
		return err
	}
	_, err = file.WriteAt([]byte{b ^ 1<<f.Bit}, f.Offset)
	return err
}
