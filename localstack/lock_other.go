//go:build !unix

package localstack

import (
	"errors"
	"fmt"
	"os"
)

var errLocked = errors.New("another process has it")

// tryLock would take the lock of a file: a local store needs one that ends with
// its process.
func tryLock(path string) (*os.File, error) {
	return nil, fmt.Errorf("lock %s: a local store runs on Unix only: %w", path, errors.ErrUnsupported)
}
