//go:build unix

package file

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
	"time"
)

// hidden is the folder of files on their way. It starts with a dot, as no name
// does (cold.CheckName), and lies on the same file system as the objects.
const hidden = ".tmp"

// staleAfter is the age at which a file on its way belongs to a process that is
// gone: a put writes all the time, and a file's age is that of its last write.
const staleAfter = time.Hour

// staging holds the files that are being written.
type staging struct {
	root *os.Root
	dir  *os.File
	life string // makes names unique among processes
	next atomic.Uint64
}

func openStaging(root *os.Root) (*staging, error) {
	if err := root.Mkdir(hidden, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	inner, err := root.OpenRoot(hidden)
	if err != nil {
		return nil, err
	}
	dir, err := inner.Open(".")
	if err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	var life [8]byte
	rand.Read(life[:])
	return &staging{root: inner, dir: dir, life: hex.EncodeToString(life[:])}, nil
}

// create opens a new file and returns its name in the folder.
func (s *staging) create() (*os.File, string, error) {
	name := fmt.Sprintf("%s-%d", s.life, s.next.Add(1))
	f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	return f, name, err
}

func (s *staging) remove(name string) error { return s.root.Remove(name) }

// sweep removes what was last written before the given time.
func (s *staging) sweep(before time.Time) error {
	entries, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.ModTime().Before(before) {
			continue // its process has finished with it just now, or is still at it
		}
		if err == nil {
			err = s.root.RemoveAll(e.Name())
		}
		if err != nil {
			return fmt.Errorf("sweep %s: %w", hidden, err)
		}
	}
	return nil
}

func (s *staging) close() error { return errors.Join(s.dir.Close(), s.root.Close()) }
