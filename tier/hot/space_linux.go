package hot

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

const (
	keepSize  = 0x1 // FALLOC_FL_KEEP_SIZE
	punchHole = 0x2 // FALLOC_FL_PUNCH_HOLE
)

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

// release gives the blocks of a directory's value logs back while they are still
// mapped. Nobody reads them any more.
func release(dir string) {
	names, _ := filepath.Glob(filepath.Join(dir, "*.vlog"))
	for _, name := range names {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if info, err := f.Stat(); err == nil && info.Size() > 0 {
			_ = syscall.Fallocate(int(f.Fd()), keepSize|punchHole, 0, info.Size())
		}
		_ = f.Close()
	}
}
