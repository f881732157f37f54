package file

import (
	"context"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// datasync is fdatasync(2): the bytes and the size, not the times.
func datasync(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err != unix.EINTR {
			return pathError("fdatasync", f.Name(), err)
		}
	}
}

// byRename is for file systems without links.
func byRename(s *staging, temporary string, d *folder, base string) error {
	err := unix.Renameat2(int(s.dir.Fd()), temporary, int(d.fd.Fd()), base, unix.RENAME_NOREPLACE)
	return pathError("rename", base, err)
}

// vectors is the kernel's limit for one writev (UIO_MAXIOV).
const vectors = 1024

// writeSegments writes the segments from where they are.
func writeSegments(ctx context.Context, f *os.File, segments [][]byte) error {
	fd := int(f.Fd())
	var batch [][]byte
	var skip int // bytes of segments[0] that are written
	for len(segments) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		batch = batch[:0]
		size := 0
		for i := 0; i < len(segments) && len(batch) < vectors && size < stride; i++ {
			s := segments[i]
			if i == 0 {
				s = s[skip:]
			}
			if s = s[:min(len(s), stride-size)]; len(s) > 0 {
				batch = append(batch, s)
				size += len(s)
			}
		}
		n := 0
		if size > 0 {
			var err error
			if n, err = unix.Writev(fd, batch); err == unix.EINTR {
				continue
			}
			if err == nil && n <= 0 {
				err = io.ErrShortWrite
			}
			if err != nil {
				return pathError("write", f.Name(), err)
			}
		}
		for skip += n; len(segments) > 0 && skip >= len(segments[0]); {
			skip -= len(segments[0])
			segments = segments[1:]
		}
	}
	return nil
}
