package hot

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
)

const (
	valueStep = 16 << 20 // the value log is promised room in steps of this size
	memStep   = 4 << 20  // and so is the log of the memtable
	// spare is the room that must be left on the disk when a step is taken: for
	// the memtables of a few generations, which become files of their own when
	// they are closed, and for everybody else.
	spare = 48 << 20
)

// reservation keeps H5 for one generation: the blocks of its two growing files
// are allocated ahead of the bytes. It belongs to the appender.
type reservation struct {
	log                 string // path of the value log, set once
	values, mem         *os.File
	valueHave, memHave  int64 // promised
	valueNeeds, memNeed int64 // written, or about to be
}

// open finds the files that Badger has made.
func (r *reservation) open(dir string) error {
	var err error
	if r.values, err = newest(dir, "*.vlog"); err != nil {
		return err
	}
	r.log = r.values.Name()
	if r.mem, err = newest(dir, "*.mem"); err != nil {
		return err
	}
	return r.take(dir, 1, 1, freeBytes)
}

// take promises room for so many more bytes in each file.
func (r *reservation) take(dir string, values, mem int64, freeBytes func(string) (int64, error)) error {
	need := func(have, used, step int64) int64 {
		if used+step/4 <= have { // a quarter of a step is always ahead
			return 0
		}
		return (used - have + step/4 + step - 1) / step * step
	}
	v, m := need(r.valueHave, r.valueNeeds+values, valueStep), need(r.memHave, r.memNeed+mem, memStep)
	if v+m > 0 {
		free, err := freeBytes(dir)
		if err != nil {
			return err
		}
		if free < v+m+spare {
			return ErrFull
		}
		if err := errors.Join(reserve(r.values, r.valueHave, v), reserve(r.mem, r.memHave, m)); err != nil {
			return errors.Join(ErrFull, err)
		}
	}
	r.valueHave += v
	r.memHave += m
	r.valueNeeds += values
	r.memNeed += mem
	return nil
}

func (r *reservation) close() {
	for _, f := range []*os.File{r.values, r.mem} {
		if f != nil {
			_ = f.Close()
		}
	}
	r.values, r.mem = nil, nil
}

func newest(dir, pattern string) (*os.File, error) {
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		return nil, errors.Join(err, os.ErrNotExist)
	}
	return os.OpenFile(slices.Max(names), os.O_RDWR, 0)
}
