package file

import (
	"context"
	"errors"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/firnlog/firn/tier/cold"
)

// directFrom is the size from which an object is written past the page cache
// (O_DIRECT). Its readers seldom come back for it: what is new is served from the
// tail cache and the hot tier. Through the page cache the kernel copies every
// byte into pages that it has to find first, and pushes out what is read often;
// measured, an object of 8 MiB costs 3.2 CPU s per GiB that way and 0.4 past it,
// one of 64 KiB costs the same either way (docs/benchmarks.md).
const directFrom = 256 << 10

// sector is what the memory, the position and the length of a direct write are
// multiples of: no less than any device asks for (statx's STATX_DIOALIGN).
const sector = 4 << 10

// strides are the buffers that direct writes go through.
var strides = sync.Pool{New: func() any {
	whole := make([]byte, stride+sector)
	lead := int(-uintptr(unsafe.Pointer(&whole[0])) & (sector - 1))
	return (*[stride]byte)(whole[lead:])
}}

// direct collects what is written into whole strides and writes those past the
// page cache. Only flush makes the end of the file, which is no multiple of a
// sector, reach it.
type direct struct {
	ctx  context.Context
	f    *os.File
	buf  *[stride]byte
	have int
}

// openDirect turns a new, empty file to direct writes. It returns nil where the
// file system does not know them (EINVAL).
func openDirect(ctx context.Context, f *os.File) (*direct, error) {
	err := setDirect(f, true)
	if errors.Is(err, unix.EINVAL) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &direct{ctx: ctx, f: f, buf: strides.Get().(*[stride]byte)}, nil
}

// Write implements io.Writer. It keeps nothing of p.
func (d *direct) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n := copy(d.buf[d.have:], p[done:])
		d.have += n
		done += n
		if d.have < stride {
			break
		}
		if err := d.out(d.buf[:]); err != nil {
			return done, err
		}
		d.have = 0
	}
	return done, nil
}

// flush writes what is left, the last part of a sector through the page cache.
func (d *direct) flush() error {
	whole := d.have &^ (sector - 1)
	if err := d.out(d.buf[:whole]); err != nil {
		return err
	}
	if whole == d.have {
		return nil
	}
	if err := setDirect(d.f, false); err != nil {
		return err
	}
	return d.out(d.buf[whole:d.have])
}

// out writes at the end of the file. A file system that took the flag and refuses
// the write (EINVAL) gets this and all the rest through the page cache.
func (d *direct) out(p []byte) error {
	if err := d.ctx.Err(); err != nil || len(p) == 0 {
		return err
	}
	n, err := d.f.Write(p)
	if n == 0 && errors.Is(err, unix.EINVAL) {
		if err = setDirect(d.f, false); err == nil {
			_, err = d.f.Write(p)
		}
	}
	return err
}

func setDirect(f *os.File, on bool) error {
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err == nil {
		flags &^= unix.O_DIRECT
		if on {
			flags |= unix.O_DIRECT
		}
		_, err = unix.FcntlInt(f.Fd(), unix.F_SETFL, flags)
	}
	return pathError("fcntl", f.Name(), err)
}

// writeDirect writes the body past the page cache. It reports false, with nothing
// written, where the file system does not do that.
func writeDirect(ctx context.Context, f *os.File, body cold.Body) (bool, error) {
	d, err := openDirect(ctx, f)
	if d == nil || err != nil {
		return false, err
	}
	defer strides.Put(d.buf)
	if m, ok := body.(cold.Segmented); ok {
		for _, s := range m.Segments() {
			if _, err := d.Write(s); err != nil {
				return true, err
			}
		}
	} else if err := pour(ctx, d, body); err != nil {
		return true, err
	}
	return true, d.flush()
}
