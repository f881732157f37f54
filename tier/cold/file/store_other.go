//go:build !unix

package file

import (
	"fmt"
	"runtime"

	"github.com/firnlog/firn/tier/cold"
)

// Store is not there on this system.
type Store struct{ cold.Store }

// Open refuses: publishing a file atomically and durably needs a Unix.
func Open(dir string) (*Store, error) {
	return nil, fmt.Errorf("open file store %s: there are no file stores on %s; use an S3 endpoint", dir, runtime.GOOS)
}

// Close does nothing.
func (s *Store) Close() error { return nil }
