package hot

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// vectors is the kernel's limit for one pwritev (UIO_MAXIOV).
const vectors = 1024

// writeEntries writes the values of entries from where they are.
func writeEntries(f *os.File, pos int64, entries []Entry) (int64, error) {
	parts := make([][]byte, 0, min(len(entries), vectors))
	done, skip := int64(0), 0 // skip is what was written of the first entry
	for len(entries) > 0 {
		parts = parts[:0]
		for i := 0; i < len(entries) && len(parts) < vectors; i++ {
			parts = append(parts, entries[i].Value)
		}
		parts[0] = parts[0][skip:]
		n, err := unix.Pwritev(int(f.Fd()), parts, pos+done)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil && n <= 0 {
			err = io.ErrShortWrite
		}
		if err != nil {
			return done, &os.PathError{Op: "write", Path: f.Name(), Err: err}
		}
		done += int64(n)
		for skip += n; len(entries) > 0 && skip >= len(entries[0].Value); {
			skip -= len(entries[0].Value)
			entries = entries[1:]
		}
	}
	return done, nil
}

// datasync is fdatasync(2): the bytes and the size, not the times.
func datasync(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
