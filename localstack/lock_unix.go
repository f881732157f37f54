//go:build unix

package localstack

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

var errLocked = errors.New("another process has it")

// tryLock takes the lock of a file, which is made if it is missing, and holds it
// until the file is closed or the process ends in any way.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w", path, errLocked)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}
