//go:build unix

package localstack

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFolderOfAKilledProcessIsRemovedAtTheNextStart and the folder of a living one
// is not.
func TestFolderOfAKilledProcessIsRemovedAtTheNextStart(t *testing.T) {
	parent := t.TempDir()
	living, err := openFolder(t.Context(), "", parent)
	if err != nil {
		t.Fatal(err)
	}
	killed, err := openFolder(t.Context(), "", parent)
	if err != nil {
		t.Fatal(err)
	}
	killed.lock.Close() // as the kernel does when a process ends
	foreign := filepath.Join(parent, "somebody-elses")
	if err := os.Mkdir(foreign, 0o755); err != nil {
		t.Fatal(err)
	}
	next, err := openFolder(t.Context(), "", parent)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{living.path: true, killed.path: false, next.path: true, foreign: true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", filepath.Base(path), err == nil, want)
		}
	}
	for _, f := range []*folder{living, next} {
		if err := f.close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(f.path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s stays behind", f.path)
		}
	}
}

func TestGivenFolderIsForOneProcessAndStays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "minio")
	f, err := openFolder(t.Context(), dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openFolder(t.Context(), dir, ""); !errors.Is(err, errLocked) {
		t.Errorf("a second one: %v", err)
	}
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
}

// TestInstallFailsByNameWhereItCannotBuild and leaves nothing half-built.
func TestInstallFailsByNameWhereItCannotBuild(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir) // no go command
	torn := filepath.Join(dir, "minio-"+MinIO.version)
	if err := os.WriteFile(torn, []byte("half a program"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := MinIO.installIn(t.Context(), dir, func() { t.Error("it says that it builds") })
	if err == nil || !strings.Contains(err.Error(), "go command") {
		t.Errorf("got %v", err)
	}
	lock, err := tryLock(filepath.Join(dir, "minio-"+MinIO.version+".lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := MinIO.installIn(ctx, dir, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("beside another build: %v", err)
	}
}
