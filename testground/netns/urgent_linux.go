package netns

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// niceness is how nice the calling thread is.
func niceness() (int, error) {
	p, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	return 20 - p, err // the system call's own way to tell
}

// setNiceness changes how nice all threads of this process are; to Linux that is theirs
// alone, and those that they start inherit it.
func setNiceness(nice int) error {
	threads, err := os.ReadDir("/proc/self/task")
	for _, t := range threads {
		if id, bad := strconv.Atoi(t.Name()); bad == nil {
			if e := unix.Setpriority(unix.PRIO_PROCESS, id, nice); !errors.Is(e, unix.ESRCH) { // it may have ended
				err = errors.Join(err, e)
			}
		}
	}
	return err
}

// calm undoes it for the calling thread, and whatever that starts.
func calm(nice int) error { return unix.Setpriority(unix.PRIO_PROCESS, 0, nice) }
