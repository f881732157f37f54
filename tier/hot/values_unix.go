//go:build unix

package hot

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// view is a mapping of a whole file for reading. It may reach beyond the end of
// the file, which grows under it.
type view struct{ mapped []byte }

func openView(f *os.File, size int64) (view, error) {
	if size == 0 {
		return view{}, nil
	}
	b, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	return view{b}, err
}

func (w view) at(_ *os.File, pos, n int64) ([]byte, error) {
	if pos+n > int64(len(w.mapped)) {
		return nil, fmt.Errorf("values are mapped up to %d, wanted are %d bytes at %d", len(w.mapped), n, pos)
	}
	return w.mapped[pos : pos+n : pos+n], nil
}

func (w view) close() error {
	if w.mapped == nil {
		return nil
	}
	return unix.Munmap(w.mapped)
}
