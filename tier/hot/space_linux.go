package hot

import (
	"errors"
	"os"
	"syscall"
)

const keepSize = 0x1 // FALLOC_FL_KEEP_SIZE

// reserve allocates blocks. Where the file system cannot, the free space that
// was checked before has to do.
func reserve(f *os.File, from, n int64) error {
	if n == 0 {
		return nil
	}
	for {
		err := syscall.Fallocate(int(f.Fd()), keepSize, from, n)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EOPNOTSUPP), errors.Is(err, syscall.ENOSYS):
			return nil
		}
		return err
	}
}
