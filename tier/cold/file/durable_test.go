//go:build unix

package file

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/coldtest"
)

// A file system without links is as good, where rename can be told not to replace.
func TestRenamingIsAStoreToo(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("RENAME_NOREPLACE is Linux's")
	}
	coldtest.Acceptance(t, func(t *testing.T) func() cold.Store {
		dir := t.TempDir()
		return func() cold.Store {
			s, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			err = try(s.staging, byRename, &folder{path: hidden, fd: s.staging.dir})
			if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EOPNOTSUPP) {
				t.Skipf("not on this file system: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			s.publish = byRename
			return s
		}
	})
}

func TestAFileSystemThatCanDoNeitherIsRefused(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	here := &folder{path: hidden, fd: s.staging.dir}
	replaces := func(s *staging, temporary string, _ *folder, base string) error {
		return s.root.Rename(temporary, base)
	}
	if err := try(s.staging, replaces, here); err == nil || !strings.Contains(err.Error(), "replaced") {
		t.Errorf("a publisher that replaces was taken: %v", err)
	}
}

// F2: neither success nor refusal is told before the folder is synced.
func TestAnswersWaitForTheSync(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	one := cold.Bytes([]byte("x"))
	if err := s.PutIfAbsent(t.Context(), "a/1", one); err != nil {
		t.Fatal(err)
	}
	d := s.folders.known("a")
	defer s.folders.put(d)
	syncs := 0
	d.flush = func() error { syncs++; return nil }
	if err := s.PutIfAbsent(t.Context(), "a/2", one); err != nil || syncs != 1 {
		t.Errorf("%v after %d syncs", err, syncs)
	}
	if err := s.PutIfAbsent(t.Context(), "a/2", one); !errors.Is(err, cold.ErrExists) || syncs != 2 {
		t.Errorf("%v after %d syncs", err, syncs)
	}
	if err := s.Delete(t.Context(), "a/2"); err != nil || syncs != 3 {
		t.Errorf("%v after %d syncs", err, syncs)
	}

	// F3: a sync that failed is not forgiven because the next one would succeed.
	d.flush = func() error { return syscall.EIO }
	if err := s.PutIfAbsent(t.Context(), "a/3", one); !errors.Is(err, syscall.EIO) || cold.Definite(err) {
		t.Errorf("%v", err)
	}
	d.flush = func() error { return nil }
	for _, name := range []string{"a/3", "a/4"} {
		err := s.PutIfAbsent(t.Context(), name, one)
		if !errors.Is(err, syscall.EIO) || cold.Definite(err) || !strings.Contains(err.Error(), "opened again") {
			t.Errorf("put %s: %v", name, err)
		}
	}
	if err := s.PutIfAbsent(t.Context(), "b/1", one); err != nil {
		t.Errorf("another folder: %v", err)
	}
}

// F2 where another process has removed a folder that this one has open, and made it again.
func TestAFolderThatWasMadeAgainIsOpenedAgain(t *testing.T) {
	dir, one := t.TempDir(), cold.Bytes([]byte("x"))
	var stores [2]*Store
	for i := range stores {
		s, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		stores[i] = s
	}
	ours, theirs := stores[0], stores[1]
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, forget := range []bool{false, true} {
		must(ours.PutIfAbsent(t.Context(), "a/1", one))
		must(theirs.Delete(t.Context(), "a/1"))
		must(theirs.PutIfAbsent(t.Context(), "a/2", one))
		if !forget {
			if err := ours.PutIfAbsent(t.Context(), "a/2", one); !errors.Is(err, cold.ErrExists) {
				t.Errorf("%v", err)
			}
			d := ours.folders.known("a")
			synced, err := d.fd.Stat()
			must(err)
			there, err := os.Stat(filepath.Join(dir, "a"))
			must(err)
			if !os.SameFile(synced, there) {
				t.Error("told that the name is taken, and another folder was synced")
			}
			ours.folders.put(d)
		}
		must(ours.Delete(t.Context(), "a/2"))
		if _, err := ours.Stat(t.Context(), "a/2"); !errors.Is(err, cold.ErrNotFound) {
			t.Errorf("deleted, and still there: %v", err)
		}
	}
}

// Puts that wait for one folder share its syncs, and none is told of a sync that
// began before its link.
func TestSyncsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		linked, syncs := 0, 0
		durable := 0
		d := &folder{path: "a", flush: func() error {
			mu.Lock()
			syncs++
			seen := linked
			mu.Unlock()
			time.Sleep(10 * time.Millisecond)
			mu.Lock()
			durable = max(durable, seen)
			mu.Unlock()
			return nil
		}}
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				mu.Lock()
				linked++
				mine := linked
				mu.Unlock()
				if err := d.sync(); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if durable < mine {
					t.Errorf("link %d was told durable when %d were", mine, durable)
				}
			})
		}
		all.Wait()
		if syncs > 12 {
			t.Errorf("%d syncs of 10 ms for puts over 100 ms", syncs)
		}
	})
}

func TestAFullDiskIsNamed(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full")
	}
	defer full.Close()
	for _, body := range []cold.Body{cold.Bytes(make([]byte, 10000)), hide{cold.Bytes(make([]byte, 10000))}} {
		err := explain(write(t.Context(), full, body))
		if !errors.Is(err, cold.ErrFull) || !errors.Is(err, syscall.ENOSPC) || errors.Is(err, cold.ErrBody) {
			t.Errorf("%v", err)
		}
	}
}

// Whatever the size and the shape of a body, past the page cache or not, its
// object is its bytes.
func TestLargeObjectsAreTheirBytes(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	random := rand.NewChaCha8([32]byte{})
	for i, size := range []int{256<<10 - 1, 256 << 10, 256<<10 + 1, 1<<20 - 1, 1 << 20, 1<<20 + 4096, 3<<20 + 4095} {
		want := make([]byte, size)
		random.Read(want)
		var segments [][]byte
		for rest := want; len(rest) > 0; {
			n := min(len(rest), 1+int(random.Uint64()%100_000))
			segments, rest = append(segments, rest[:n]), rest[n:]
		}
		for j, body := range []cold.Body{cold.Bytes(segments...), hide{cold.Bytes(want)}} {
			name := fmt.Sprintf("a/%d-%d", i, j)
			if err := s.PutIfAbsent(t.Context(), name, body); err != nil {
				t.Fatal(err)
			}
			got, err := s.Get(t.Context(), name, cold.Range{}, nil)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes, body %d: %d bytes come back, %v", size, j, len(got), err)
			}
		}
	}
}

// hide hides that a body lies in memory.
type hide struct{ cold.Body }
