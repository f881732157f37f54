//go:build !unix

package hot

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
)

// freeBytes is not known here.
func freeBytes(string) (int64, error) { return math.MaxInt64 / 2, nil }

// lockDir takes the folder for this process as far as the system allows: an open
// file cannot be removed by another process.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, "LOCK")
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("%w: %s", ErrLocked, dir)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock hot tier: %w", err)
	}
	return f, nil
}
