package volume_test

import (
	"errors"
	"fmt"
	"os"

	"github.com/p2pnode/p2pnode/blockstore/disk/volume"
)

func ExampleCheckSpace() {
	err := volume.CheckSpace(os.TempDir(), 1<<62)
	fmt.Println(errors.Is(err, volume.ErrFull))
	// Output: true
}
