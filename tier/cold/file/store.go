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
	"syscall"
	"time"

	"github.com/firnlog/firn/tier/cold"
)

// Store is a folder used as a bucket. Any number of Stores, in any number of
// processes of one machine, may use the folder at once.
type Store struct {
	root    *os.Root
	staging *staging
	folders folders
	publish publisher
}

// Open returns the store in dir, which it creates when it is missing, and sweeps
// what earlier processes left half-written. It refuses a file system that can
// neither link(2) nor rename without replacing.
func Open(dir string) (*Store, error) {
	s, err := open(dir)
	if err != nil {
		return nil, fmt.Errorf("open file store %s: %w", dir, explain(err))
	}
	return s, nil
}

func open(dir string) (*Store, error) {
	if err := makeDurably(dir); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{root: root}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Store) prepare() (err error) {
	if s.staging, err = openStaging(s.root); err != nil {
		return err
	}
	if err := s.folders.open(s.root); err != nil {
		return err
	}
	if err := s.staging.sweep(time.Now().Add(-staleAfter)); err != nil {
		return err
	}
	s.publish, err = choosePublisher(s.staging)
	return err
}

// Close releases the store's descriptors. No call may be under way.
func (s *Store) Close() error {
	err := s.folders.close()
	if s.staging != nil {
		err = errors.Join(err, s.staging.close())
	}
	return errors.Join(err, s.root.Close())
}

// Get implements cold.Store.
func (s *Store) Get(ctx context.Context, name string, r cold.Range, buf []byte) ([]byte, error) {
	got, err := s.get(ctx, name, r, buf)
	if err != nil {
		return buf, fmt.Errorf("get %s: %w", name, explain(err))
	}
	return got, nil
}

func (s *Store) get(ctx context.Context, name string, r cold.Range, buf []byte) ([]byte, error) {
	f, info, err := s.find(ctx, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	at, n, err := r.Within(info.Size())
	if err != nil {
		return nil, err
	}
	have := len(buf)
	buf = grow(buf, n)
	// A piece at a time, so that a read of a GiB from a slow disk can be abandoned.
	for done := int64(0); done < n; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		piece := buf[have+int(done) : have+int(min(done+stride, n))]
		k, err := f.ReadAt(piece, at+done)
		done += int64(k)
		if err != nil && !(errors.Is(err, io.EOF) && done == n) {
			return nil, fmt.Errorf("at byte %d of %d: %w", at+done, info.Size(), err)
		}
	}
	return buf, nil
}

// find opens the object. A folder of that name is no object.
func (s *Store) find(ctx context.Context, name string) (*os.File, fs.FileInfo, error) {
	if err := cold.CheckName(name); err != nil {
		return nil, nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	f, err := s.root.Open(name)
	if err != nil {
		return nil, nil, absent(err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: there is a folder or a special file of that name", cold.ErrNotFound)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// Stat implements cold.Store.
func (s *Store) Stat(ctx context.Context, name string) (cold.Info, error) {
	info, err := s.stat(ctx, name)
	if err != nil {
		return cold.Info{}, fmt.Errorf("stat %s: %w", name, explain(err))
	}
	return cold.Info{Name: name, Size: info.Size(), Modified: info.ModTime()}, nil
}

func (s *Store) stat(ctx context.Context, name string) (fs.FileInfo, error) {
	if err := cold.CheckName(name); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	info, err := s.root.Lstat(name)
	if err != nil {
		return nil, absent(err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: there is a folder or a special file of that name", cold.ErrNotFound)
	}
	return info, nil
}

// Delete implements cold.Store. When it returns nil the name is free even after
// a power failure. Folders that it empties go too.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := s.delete(ctx, name); err != nil {
		return fmt.Errorf("delete %s: %w", name, explain(err))
	}
	return nil
}

func (s *Store) delete(ctx context.Context, name string) error {
	if _, err := s.stat(ctx, name); err != nil {
		if errors.Is(err, cold.ErrNotFound) {
			return nil
		}
		return err
	}
	parent, err := s.holder(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer s.folders.put(parent)
	if err := parent.remove(path.Base(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := parent.sync(); err != nil {
		return err
	}
	s.folders.prune(parent.path)
	return nil
}

// absent turns the ways in which a path can be missing into ErrNotFound.
func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return cold.ErrNotFound
	}
	return err
}

// explain adds the sentinel and the words for errors of the file system that a
// person has to do something about.
func explain(err error) error {
	switch {
	case errors.Is(err, cold.ErrDenied), errors.Is(err, cold.ErrFull):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %w", cold.ErrFull, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w", cold.ErrDenied, err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: the file system is mounted read-only: %w", cold.ErrDenied, err)
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return fmt.Errorf("out of file descriptors (ulimit -n): %w", err)
	}
	return err
}

// grow makes room for n more bytes and takes them.
func grow(buf []byte, n int64) []byte {
	have := len(buf)
	if need := have + int(n); need > cap(buf) {
		next := make([]byte, need)
		copy(next, buf)
		return next
	}
	return buf[:have+int(n)]
}
