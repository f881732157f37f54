//go:build unix

package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/firnlog/firn/tier/cold"
)

// folder is an open directory whose own name, and those of all folders above it,
// were synced by this process after it was opened (F2). Working on the descriptor
// instead of the path is what makes that knowledge safe to keep: should another
// process remove the folder and make a new one of that name, calls on this
// descriptor fail with ENOENT instead of reaching a folder that nobody synced.
type folder struct {
	path  string // "." is the root
	fd    *os.File
	flush func() error // fd.Sync, but in tests
	refs  int          // of calls; owned by folders

	mu      sync.Mutex
	running *round
	waiting *round
	failed  error // F3
}

// round is one fsync and those who wait for it.
type round struct {
	done chan struct{}
	err  error
}

// sync makes durable what was linked or removed before the call. Calls that
// arrive while an fsync runs share the next one: theirs may have missed it.
func (d *folder) sync() error {
	r, before, leader := d.join()
	if !leader {
		<-r.done
		return r.err
	}
	if before != nil {
		<-before.done
		d.start(r)
	}
	if r.err = d.failure(); r.err == nil {
		r.err = d.flush()
	}
	d.finish(r)
	return r.err
}

// join returns the round to wait for, whether the caller leads it, and the one
// that the leader has to wait for.
func (d *folder) join() (r, before *round, leader bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting != nil {
		return d.waiting, nil, false
	}
	r = &round{done: make(chan struct{})}
	if d.running != nil {
		d.waiting = r
		return r, d.running, true
	}
	d.running = r
	return r, nil, true
}

func (d *folder) start(r *round) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting, d.running = nil, r
}

func (d *folder) failure() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed
}

func (d *folder) finish(r *round) {
	d.mu.Lock()
	if r.err != nil && d.failed == nil {
		r.err = fmt.Errorf("sync folder %s: %w", d.path, r.err)
		d.failed = fmt.Errorf("folder %s takes no more puts until the store is opened again, because an earlier sync failed: %w", d.path, r.err)
	}
	if d.running == r {
		d.running = nil
	}
	d.mu.Unlock()
	close(r.done)
}

// holds reports whether the name is in the folder, or cannot be looked at.
func (d *folder) holds(base string) bool {
	var st unix.Stat_t
	return unix.Fstatat(int(d.fd.Fd()), base, &st, unix.AT_SYMLINK_NOFOLLOW) != unix.ENOENT
}

func (d *folder) remove(base string) error {
	return pathError("unlink", base, unix.Unlinkat(int(d.fd.Fd()), base, 0))
}

func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// openFolders is how many folders stay open between calls. Puts go to a handful:
// the current session's, the journal's, the jobs' of the moment.
const openFolders = 64

// need says what get does about a folder that is not there.
type need bool

const (
	mustExist need = false
	makeIt    need = true
)

// folders are the open ones, by path.
type folders struct {
	mu     sync.Mutex
	byPath map[string]*folder
}

// open takes the root in. Its own name was synced by makeDurably.
func (f *folders) open(root *os.Root) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	f.byPath = map[string]*folder{".": {path: ".", fd: dir, flush: dir.Sync, refs: 1}} // never evicted
	return nil
}

// get returns the folder, whose name is then durable. The caller gives it back
// with put.
func (f *folders) get(dir string, n need) (*folder, error) {
	for range moves {
		if d := f.known(dir); d != nil {
			return d, nil
		}
		d, err := f.enter(dir, n)
		if err == nil {
			return f.adopt(d), nil
		}
		// With makeIt a missing folder means that a parent was pruned away after it
		// was opened; enter has forgotten it.
		if n == mustExist || !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("folder %s was removed %d times in a row", dir, moves)
}

func (f *folders) known(dir string) *folder {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.byPath[dir]
	if d != nil {
		d.refs++
	}
	return d
}

// enter opens a folder through its parent and syncs the parent after that: the
// entry of the folder that was opened is then durable, or gone.
func (f *folders) enter(dir string, n need) (*folder, error) {
	parent, err := f.get(path.Dir(dir), n)
	if err != nil {
		return nil, err
	}
	defer f.put(parent)
	at, base := int(parent.fd.Fd()), path.Base(dir)
	if n == makeIt {
		if err := unix.Mkdirat(at, base, 0o750); err != nil && err != unix.EEXIST {
			if err == unix.ENOENT {
				f.forget(parent)
			}
			return nil, pathError("mkdir", dir, err)
		}
	}
	fd, err := unix.Openat(at, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == unix.ENOTDIR || err == unix.ELOOP {
		return nil, fmt.Errorf("%w: there is an object or a link named %s", cold.ErrName, dir)
	}
	if err != nil {
		return nil, pathError("open", dir, err)
	}
	opened := os.NewFile(uintptr(fd), dir)
	d := &folder{path: dir, fd: opened, flush: opened.Sync}
	if err := parent.sync(); err != nil {
		return nil, errors.Join(err, d.fd.Close())
	}
	return d, nil
}

// adopt keeps an opened folder, unless another call was faster.
func (f *folders) adopt(d *folder) *folder {
	f.mu.Lock()
	theirs := f.byPath[d.path]
	var spare []*folder
	if theirs != nil {
		spare = append(spare, d)
		d = theirs
	} else {
		f.byPath[d.path] = d
		spare = f.surplus(d)
	}
	d.refs++
	f.mu.Unlock()
	for _, s := range spare {
		s.fd.Close()
	}
	return d
}

// surplus takes out idle folders beyond the limit. Which ones matters little: to
// enter one again costs an fsync. Called with the lock held.
func (f *folders) surplus(newest *folder) (idle []*folder) {
	for p, d := range f.byPath {
		if len(f.byPath) <= openFolders {
			break
		}
		if d.refs == 0 && d != newest {
			delete(f.byPath, p)
			idle = append(idle, d)
		}
	}
	return idle
}

// put gives a folder back.
func (f *folders) put(d *folder) {
	f.mu.Lock()
	d.refs--
	last := d.refs == 0 && f.byPath[d.path] != d
	f.mu.Unlock()
	if last {
		d.fd.Close()
	}
}

// forget drops a folder whose descriptor no longer leads anywhere. Its last user
// closes it, which may be the caller: it holds a reference still.
func (f *folders) forget(d *folder) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d.path != "." && f.byPath[d.path] == d {
		delete(f.byPath, d.path)
	}
}

// prune removes a folder that has become empty, and its parents as far as they
// have become empty. That is housekeeping: it ends where somebody has put
// something, which is right. A put that loses its folder to it makes another.
func (f *folders) prune(dir string) {
	for ; dir != "."; dir = path.Dir(dir) {
		parent, err := f.get(path.Dir(dir), mustExist)
		if err != nil {
			return
		}
		// Only ever a folder: an object may have taken the name by now.
		err = unix.Unlinkat(int(parent.fd.Fd()), path.Base(dir), unix.AT_REMOVEDIR)
		f.put(parent)
		if err != nil {
			return
		}
		if d := f.known(dir); d != nil {
			f.forget(d)
			f.put(d)
		}
	}
}

func (f *folders) close() error {
	f.mu.Lock()
	all := f.byPath
	f.byPath = nil
	f.mu.Unlock()
	var err error
	for _, d := range all {
		err = errors.Join(err, d.fd.Close())
	}
	return err
}

// makeDurably creates dir with its parents and syncs each name on the way. The
// parent of a dir that was there is synced too, in case whoever made it did not.
func makeDurably(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case err == nil && !info.IsDir():
		return fmt.Errorf("%s is no folder", dir)
	case errors.Is(err, fs.ErrNotExist):
		if err := makeDurably(filepath.Dir(filepath.Clean(dir))); err != nil {
			return err
		}
		if err := os.Mkdir(dir, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	case err != nil:
		return err
	default:
		// The parents of a folder that is in use are often not ours to open.
		_ = syncParent(dir)
		return nil
	}
	return syncParent(dir)
}

func syncParent(dir string) error {
	parent, err := os.Open(filepath.Dir(filepath.Clean(dir)))
	if err != nil {
		return err
	}
	return errors.Join(parent.Sync(), parent.Close())
}
