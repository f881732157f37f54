package hot

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
)

const (
	valueStep = 16 << 20 // the values are promised room in steps of this size
	memStep   = 4 << 20  // and so are the logs of Badger
	// spare is the room that must be left on the disk when a step is taken: for
	// the memtables of a few generations, which become files of their own when
	// they are closed, and for everybody else.
	spare = 48 << 20
)

// reservation keeps H5 for one generation: the blocks of its growing files are
// allocated ahead of the bytes. It belongs to the appender.
type reservation struct {
	values promised
	mem    promised // the memtable's log
	large  promised // Badger's value log: slot tables that are large
	badger []*os.File
}

// promised is how much of a file has blocks.
type promised struct {
	f          *os.File
	step       int64
	have, used int64
}

// open finds the files that Badger has made.
func (r *reservation) open(dir string, values *os.File) error {
	r.values = promised{f: values, step: valueStep}
	for _, x := range []struct {
		p       *promised
		pattern string
	}{{&r.mem, "*.mem"}, {&r.large, "*.vlog"}} {
		f, err := newest(dir, x.pattern)
		if err != nil {
			return err
		}
		r.badger = append(r.badger, f)
		*x.p = promised{f: f, step: memStep}
	}
	return r.take(dir, 1, 1, freeBytes)
}

// take promises room for a slot that has so many bytes of values, and takes so many
// in the memtable at most.
func (r *reservation) take(dir string, values, mem int64, freeBytes func(string) (int64, error)) error {
	large := int64(0)
	if mem >= largeTable {
		large = mem
	}
	v, m, l := r.values.lacks(values), r.mem.lacks(mem), r.large.lacks(large)
	if v+m+l > 0 {
		free, err := freeBytes(dir)
		if err != nil {
			return err
		}
		if free < v+m+l+spare {
			return ErrFull
		}
		if err := errors.Join(r.values.grow(v), r.mem.grow(m), r.large.grow(l)); err != nil {
			return errors.Join(ErrFull, err)
		}
	}
	r.values.used += values
	r.mem.used += mem
	r.large.used += large
	return nil
}

// lacks is what has to be promised before n more bytes are written. A quarter of a
// step is always ahead.
func (p *promised) lacks(n int64) int64 {
	if p.used+n+p.step/4 <= p.have {
		return 0
	}
	return (p.used + n - p.have + p.step/4 + p.step - 1) / p.step * p.step
}

func (p *promised) grow(n int64) error {
	if err := reserve(p.f, p.have, n); err != nil {
		return err
	}
	p.have += n
	return nil
}

// close gives up Badger's files; the values are the generation's own.
func (r *reservation) close() {
	for _, f := range r.badger {
		_ = f.Close()
	}
	r.badger = nil
}

func newest(dir, pattern string) (*os.File, error) {
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		return nil, errors.Join(err, os.ErrNotExist)
	}
	return os.OpenFile(slices.Max(names), os.O_RDWR, 0)
}
