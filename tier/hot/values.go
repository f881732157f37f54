package hot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
)

// valuesFile is the name of the file of a generation's values.
const valuesFile = "values"

// values is the file in which the batches of a generation lie, one after the other
// as they came. It is written with pwrite, for which the kernel need not fetch or
// clear a page first, and read through a mapping, which costs no copy. Pages of
// the mapping are never written through it: a disk that is full is an error of a
// write, not the end of the process (H5).
//
// The appender writes, and Sync syncs; everybody who has pinned the generation may
// read what was written.
type values struct {
	f    *os.File
	view view
	end  atomic.Int64 // bytes written
}

// createValues makes the file, with address space for so many bytes.
func createValues(dir string, capacity int64) (*values, error) {
	f, err := os.OpenFile(filepath.Join(dir, valuesFile), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	return viewed(f, capacity)
}

// openValues opens the file of an earlier life.
func openValues(dir string) (*values, error) {
	f, err := os.OpenFile(filepath.Join(dir, valuesFile), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	v, err := viewed(f, info.Size())
	if err == nil {
		v.end.Store(info.Size())
	}
	return v, err
}

func viewed(f *os.File, capacity int64) (*values, error) {
	v := &values{f: f}
	var err error
	if v.view, err = openView(f, capacity); err != nil {
		return nil, errors.Join(fmt.Errorf("map values: %w", err), f.Close())
	}
	return v, nil
}

// append writes the values of entries behind what is there, and returns where
// they begin. After an error the end is as it was.
func (v *values) append(entries []Entry) (pos int64, err error) {
	pos = v.end.Load()
	n, err := writeEntries(v.f, pos, entries)
	if err != nil {
		return 0, err
	}
	v.end.Store(pos + n)
	return pos, nil
}

// at returns n bytes; they stay valid until close. It does not look at them: a
// page that the disk cannot give faults where it is read.
func (v *values) at(pos, n int64) ([]byte, error) {
	if pos < 0 || n < 0 || pos+n > v.end.Load() {
		return nil, fmt.Errorf("values end at %d, wanted are %d bytes at %d", v.end.Load(), n, pos)
	}
	return v.view.at(v.f, pos, n)
}

// trim gives back the room that was reserved and not written.
func (v *values) trim() { _ = v.f.Truncate(v.end.Load()) }

// sync makes what was written durable, if the file is still in its folder: one
// that was removed can still be written and synced.
func (v *values) sync() error {
	if _, err := os.Stat(v.f.Name()); err != nil {
		return err
	}
	return datasync(v.f)
}

func (v *values) close() error { return errors.Join(v.view.close(), v.f.Close()) }
