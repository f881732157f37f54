//go:build unix

package file_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/coldtest"
	"github.com/firnlog/firn/tier/cold/file"
)

func open(t testing.TB, dir string) *file.Store {
	t.Helper()
	s, err := file.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t *testing.T, s cold.Store, name, data string) {
	t.Helper()
	if err := s.PutIfAbsent(t.Context(), name, cold.Bytes([]byte(data))); err != nil {
		t.Fatal(err)
	}
}

func TestFileIsAStore(t *testing.T) {
	coldtest.Acceptance(t, func(t *testing.T) func() cold.Store {
		dir := filepath.Join(t.TempDir(), "made", "on", "the", "way")
		return func() cold.Store { return open(t, dir) }
	})
}

func TestObjectsSurviveReopening(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "wal/7/0", "firn")
	s.Close()
	s = open(t, dir)
	defer s.Close()
	if got, err := s.Get(t.Context(), "wal/7/0", cold.Whole, nil); err != nil || string(got) != "firn" {
		t.Fatalf("%q, %v", got, err)
	}
}

// What a process that died has left half-written goes away, an hour later: what
// is younger may belong to a process that lives.
func TestStaleTemporaryFilesAreSwept(t *testing.T) {
	dir := t.TempDir()
	open(t, dir).Close()
	young, old := filepath.Join(dir, ".tmp", "young"), filepath.Join(dir, ".tmp", "old")
	for path, age := range map[string]time.Duration{young: 50 * time.Minute, old: 70 * time.Minute} {
		if err := os.WriteFile(path, []byte("half an obj"), 0o600); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(path, then, then); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, dir)
	defer s.Close()
	if _, err := os.Stat(young); err != nil {
		t.Errorf("a file that may be in use was swept: %v", err)
	}
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a stale file is still there: %v", err)
	}
	for info, err := range s.List(t.Context(), "", "") {
		t.Errorf("listed: %v, %v", info, err)
	}
}

func TestPutsLeaveNothingBehindInTheHiddenFolder(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	defer s.Close()
	put(t, s, "a/b", "x")
	if err := s.PutIfAbsent(t.Context(), "a/b", cold.Bytes(nil)); !errors.Is(err, cold.ErrExists) {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Join(dir, ".tmp"))
	if err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}

// F4: a symbolic link in the folder, planted or left over, leads nowhere.
func TestSymbolicLinksAreNotFollowed(t *testing.T) {
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := open(t, dir)
	defer s.Close()
	for name, target := range map[string]string{"link": outside, "file": filepath.Join(outside, "secret"), "up": "../../../../../.."} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"link/secret", "file", "up/etc/passwd"} {
		if got, err := s.Get(t.Context(), name, cold.Whole, nil); err == nil {
			t.Errorf("get %s: %q", name, got)
		}
		if err := s.Delete(t.Context(), "link/secret"); err == nil {
			if _, err := os.Stat(filepath.Join(outside, "secret")); err != nil {
				t.Errorf("deleted through a link: %v", err)
			}
		}
	}
	if err := s.PutIfAbsent(t.Context(), "link/new", cold.Bytes(nil)); err == nil || errors.Is(err, cold.ErrExists) {
		t.Errorf("put through a link: %v", err)
	}
	for info, err := range s.List(t.Context(), "", "") {
		t.Errorf("listed: %v, %v", info, err)
	}
	if left, _ := os.ReadDir(outside); len(left) != 1 {
		t.Errorf("written outside: %v", left)
	}
}

// Only a file system knows folders; an object and a folder of one name are
// refused, and neither is taken for the other's existence.
func TestAnObjectIsNoFolder(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	put(t, s, "a/b", "object")
	for _, name := range []string{"a", "a/b/c", "a/b/c/d"} {
		err := s.PutIfAbsent(t.Context(), name, cold.Bytes(nil))
		if !errors.Is(err, cold.ErrName) || errors.Is(err, cold.ErrExists) {
			t.Errorf("put %s: %v", name, err)
		}
	}
}

func TestARemovedFolderIsNamed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bucket")
	s := open(t, dir)
	defer s.Close()
	put(t, s, "a/b", "x")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := s.PutIfAbsent(t.Context(), "a/c", cold.Bytes(nil)); !errors.Is(err, cold.ErrNoBucket) {
		t.Errorf("put: %v", err)
	}
}

func TestAFileIsNoStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{path, filepath.Join(path, "below")} {
		if _, err := file.Open(dir); err == nil {
			t.Errorf("opened %s", dir)
		}
	}
}

// Deletes remove folders that they empty, and puts that lose theirs to that make
// them again: nobody notices, and no descriptor is lost.
func TestFoldersComeAndGo(t *testing.T) {
	dir := t.TempDir()
	one, other := open(t, dir), open(t, dir)
	before := descriptors()
	var work sync.WaitGroup
	for w, s := range []cold.Store{one, one, other, other} {
		work.Go(func() {
			for i := range 150 {
				name := fmt.Sprintf("seg/%d/deep/%d", i%3, w)
				if err := s.PutIfAbsent(t.Context(), name, cold.Bytes([]byte(name))); err != nil {
					t.Errorf("put: %v", err)
				}
				if got, err := s.Get(t.Context(), name, cold.Whole, nil); err != nil || string(got) != name {
					t.Errorf("get: %q, %v", got, err)
				}
				if err := s.Delete(t.Context(), name); err != nil {
					t.Errorf("delete: %v", err)
				}
			}
		})
	}
	work.Wait()
	if _, err := os.Stat(filepath.Join(dir, "seg")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("empty folders are left: %v", err)
	}
	if after := descriptors(); after > before+8 {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	one.Close()
	other.Close()
}

func TestManyFoldersTakeFewDescriptors(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	before := descriptors()
	for i := range 200 {
		put(t, s, fmt.Sprintf("seg/%d/0", i), "x")
	}
	if after := descriptors(); after > before+80 {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// descriptors counts this process's, where the system tells.
func descriptors() int {
	entries, _ := os.ReadDir("/proc/self/fd")
	return len(entries)
}

func BenchmarkFile(b *testing.B) {
	s := open(b, b.TempDir())
	defer s.Close()
	coldtest.Benchmark(b, s)
}

func TestErrorsNameTheObject(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	_, err := s.Get(t.Context(), "wal/7/0", cold.Whole, nil)
	if !strings.Contains(fmt.Sprint(err), "get wal/7/0: object not found") {
		t.Error(err)
	}
	if _, err := s.Get(t.Context(), "wal/7/0", cold.Whole, bytes.Repeat([]byte("x"), 3)); err == nil {
		t.Error("no error")
	}
}
