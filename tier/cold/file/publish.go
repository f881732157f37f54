//go:build unix

package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// ErrUnfit refuses a file system that cannot publish a file atomically.
var ErrUnfit = errors.New("this file system can neither link a file nor rename one without replacing: put the folder on a local file system (ext4, xfs, btrfs, zfs, apfs)")

// publisher gives a staged file its name if that name is free, in one step. A
// name that is taken is fs.ErrExist, a folder that has gone fs.ErrNotExist.
type publisher func(s *staging, temporary string, d *folder, base string) error

// byLink leaves the temporary name behind, as a second one.
func byLink(s *staging, temporary string, d *folder, base string) error {
	err := unix.Linkat(int(s.dir.Fd()), temporary, int(d.fd.Fd()), base, 0)
	return pathError("link", base, err)
}

// choosePublisher tries what the file system can do rather than asking what it
// is: bind mounts, FUSE and SMB answer differently from case to case.
func choosePublisher(s *staging) (publisher, error) {
	here := &folder{path: hidden, fd: s.dir}
	var why error
	for _, p := range []publisher{byLink, byRename} {
		err := try(s, p, here)
		if err == nil {
			return p, nil
		}
		if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, os.ErrPermission) && !errors.Is(err, unix.EPERM) {
			return nil, err
		}
		why = errors.Join(why, err)
	}
	return nil, fmt.Errorf("%w: %w", ErrUnfit, why)
}

// try publishes one file and sees a second one refused.
func try(s *staging, p publisher, here *folder) error {
	var names [2]string
	for i := range names {
		f, name, err := s.create()
		if err != nil {
			return err
		}
		names[i] = name
		defer func() { _ = s.remove(name) }()
		if err := f.Close(); err != nil {
			return err
		}
	}
	target := names[0] + "-published"
	if err := p(s, names[0], here, target); err != nil {
		return err
	}
	defer func() { _ = s.remove(target) }()
	if err := p(s, names[1], here, target); !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("replaced a file that was there (%v)", err)
	}
	return nil
}
