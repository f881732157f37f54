package localstack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	folderPrefix = "firn-localstack-"
	folderLock   = "in-use"
)

// folder is where a store writes. Its lock ends with the process, so that a folder
// whose process was killed is known by its lock being free.
type folder struct {
	path      string
	temporary bool
	lock      *os.File
}

// openFolder locks a given folder, which stays, or makes a temporary one below
// parent and removes those there whose processes are gone.
func openFolder(ctx context.Context, given, parent string) (*folder, error) {
	if given != "" {
		if err := os.MkdirAll(given, 0o755); err != nil {
			return nil, err
		}
		lock, err := tryLock(filepath.Join(given, folderLock))
		if err != nil {
			return nil, err
		}
		return &folder{path: given, lock: lock}, nil
	}
	// Between making a folder and locking it nobody may sweep.
	making, err := waitLock(ctx, filepath.Join(parent, fmt.Sprintf("%s%d.lock", folderPrefix, os.Getuid())))
	if err != nil {
		return nil, err
	}
	defer making.Close()
	if err := sweep(parent); err != nil {
		return nil, err
	}
	path, err := os.MkdirTemp(parent, fmt.Sprintf("%s%d-", folderPrefix, os.Getuid()))
	if err != nil {
		return nil, err
	}
	lock, err := tryLock(filepath.Join(path, folderLock))
	if err != nil {
		os.RemoveAll(path)
		return nil, err
	}
	return &folder{path: path, temporary: true, lock: lock}, nil
}

// sweep removes this user's temporary folders that nobody holds.
func sweep(parent string) error {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), fmt.Sprintf("%s%d-", folderPrefix, os.Getuid())) {
			continue
		}
		path := filepath.Join(parent, e.Name())
		lock, err := tryLock(filepath.Join(path, folderLock))
		if err != nil {
			continue // in use, or not ours to judge
		}
		err = os.RemoveAll(path)
		lock.Close()
		if err != nil {
			return fmt.Errorf("remove what a killed process left: %w", err)
		}
	}
	return nil
}

// close lets it go, and removes it if it is a temporary one.
func (f *folder) close() error {
	defer f.lock.Close()
	if f.temporary {
		return os.RemoveAll(f.path)
	}
	return nil
}
