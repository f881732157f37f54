//go:build unix

package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/firnlog/firn/tier/cold"
)

// stride is how much is written or read between two looks at the context.
const stride = 1 << 20

// moves is how often a put makes its folder again when others prune it away in
// the moment between. Each such race needs another delete in that very folder.
const moves = 16

// PutIfAbsent implements cold.Store: see the time-line in doc.go.
func (s *Store) PutIfAbsent(ctx context.Context, name string, body cold.Body) error {
	err := cold.CheckName(name)
	if err == nil {
		err = s.put(ctx, name, body)
	}
	if err != nil {
		return fmt.Errorf("put %s: %w", name, explain(err))
	}
	return nil
}

func (s *Store) put(ctx context.Context, name string, body cold.Body) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// Losing costs no disk when the name was taken long ago.
	if _, err := s.root.Lstat(name); err == nil {
		return s.taken(name)
	}
	f, temporary, err := s.staging.create()
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: the folder was removed while in use: %w", cold.ErrNoBucket, err)
	}
	if err != nil {
		return err
	}
	err = write(ctx, f, body)
	if err == nil {
		err = datasync(f)
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = s.settleInto(ctx, temporary, name)
	}
	// Published or not, the temporary name has done its work. After a rename it is
	// gone; should the removal fail, the sweep of the next start does it.
	_ = s.staging.remove(temporary)
	return err
}

// settleInto gives the staged file its name.
func (s *Store) settleInto(ctx context.Context, temporary, name string) error {
	dir, base := path.Split(name)
	for range moves {
		if err := ctx.Err(); err != nil {
			return err
		}
		d, err := s.folders.get(path.Clean(dir), makeIt)
		if err != nil {
			return err
		}
		err = s.publish(s.staging, temporary, d, base)
		if err == nil {
			err = d.sync()
		}
		gone := errors.Is(err, fs.ErrNotExist)
		if gone {
			s.folders.forget(d)
		}
		s.folders.put(d)
		if errors.Is(err, fs.ErrExist) {
			return s.taken(name)
		}
		if !gone {
			return err
		}
	}
	return fmt.Errorf("the folder, or the file to be put there, was removed %d times in a row", moves)
}

// taken is ErrExists, once it is true even after a power failure (F2).
func (s *Store) taken(name string) error {
	info, err := s.root.Lstat(name)
	if err == nil && info.IsDir() {
		return fmt.Errorf("%w: there is a folder of that name", cold.ErrName)
	}
	d, err := s.holder(name)
	if err != nil {
		return fmt.Errorf("look at the object that is there: %w", err)
	}
	defer s.folders.put(d)
	if err := d.sync(); err != nil {
		return err
	}
	return cold.ErrExists
}

// holder is the folder that an object lies in. One that another process has removed and
// made again since it was opened here is opened anew: what is synced through the old
// descriptor, or removed, is not what has the name now. The caller gives it back with put.
func (s *Store) holder(name string) (*folder, error) {
	dir, base := path.Split(name)
	for range moves {
		d, err := s.folders.get(path.Clean(dir), mustExist)
		if err != nil || d.holds(base) {
			return d, err
		}
		s.folders.forget(d)
		s.folders.put(d)
		if _, err := s.root.Lstat(name); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("folder %s was removed %d times in a row", dir, moves)
}

// write copies the body into the new, empty file.
func write(ctx context.Context, f *os.File, body cold.Body) error {
	if body.Size() >= directFrom {
		if done, err := writeDirect(ctx, f, body); done || err != nil {
			return err
		}
	}
	if m, ok := body.(cold.Segmented); ok {
		return writeSegments(ctx, f, m.Segments())
	}
	return pour(ctx, f, body)
}

// pour copies a body that does not lie in memory.
func pour(ctx context.Context, w io.Writer, body cold.Body) error {
	r, err := body.Open()
	if err != nil {
		return fmt.Errorf("%w: %w", cold.ErrBody, err)
	}
	defer r.Close()
	src := &source{Reader: r}
	var from io.Reader = src
	if _, ok := r.(*os.File); ok {
		from = r // left bare, since the kernel copies from file to file by itself
	}
	for left := body.Size(); left > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.CopyN(w, from, min(left, stride))
		left -= n
		switch {
		case errors.Is(err, io.EOF):
			return fmt.Errorf("%w: shorter than its size of %d bytes", cold.ErrBody, body.Size())
		case src.err != nil:
			return fmt.Errorf("%w: %w", cold.ErrBody, src.err)
		}
		if err != nil {
			return err
		}
	}
	if n, _ := r.Read(make([]byte, 1)); n > 0 {
		return fmt.Errorf("%w: longer than its size of %d bytes", cold.ErrBody, body.Size())
	}
	return nil
}

// source remembers the error of a body, to tell it from one of the disk.
type source struct {
	io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}
