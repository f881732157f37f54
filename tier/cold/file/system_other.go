//go:build unix && !linux

package file

import (
	"context"
	"errors"
	"math"
	"os"

	"github.com/firnlog/firn/tier/cold"
)

// directFrom is never reached: writing past the page cache differs from system to system.
const directFrom = math.MaxInt64

func writeDirect(context.Context, *os.File, cold.Body) (bool, error) { return false, nil }

// datasync falls back on the full sync, which on darwin is F_FULLFSYNC.
func datasync(f *os.File) error { return f.Sync() }

// byRename needs a rename that does not replace, which is not the same call anywhere.
func byRename(*staging, string, *folder, string) error { return errors.ErrUnsupported }

// writeSegments writes the segments one after the other.
func writeSegments(ctx context.Context, f *os.File, segments [][]byte) error {
	for _, s := range segments {
		for len(s) > 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			n, err := f.Write(s[:min(len(s), stride)])
			if err != nil {
				return err
			}
			s = s[n:]
		}
	}
	return nil
}
