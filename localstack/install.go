package localstack

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Install returns the path of the store's program and builds it with `go install`
// where the user's cache folder has none of its version yet. That takes minutes and
// happens once: a second process waits for the first. building, when not nil, is
// called before a build begins. Without a Go toolchain or the module it fails.
func (k Kind) Install(ctx context.Context, building func()) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("install %s: %w", k, err)
	}
	path, err := k.installIn(ctx, filepath.Join(cache, "firn", "bin"), building)
	if err != nil {
		return "", fmt.Errorf("install %s %s: %w", k, k.version, err)
	}
	return path, nil
}

func (k Kind) installIn(ctx context.Context, dir string, building func()) (string, error) {
	bin := filepath.Join(dir, k.name+"-"+k.version)
	if k.is(bin) {
		return bin, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock, err := waitLock(ctx, bin+".lock")
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if k.is(bin) {
		return bin, nil
	}
	if _, err := exec.LookPath("go"); err != nil {
		return "", fmt.Errorf("it is built from its Go module, which needs the go command: %w", err)
	}
	if building != nil {
		building()
	}
	// Beside its final place, so that the rename is one step.
	tmp, err := os.MkdirTemp(dir, ".build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	cmd := exec.CommandContext(ctx, "go", "install", "-trimpath", "-ldflags", "-s -w", k.pkg+"@"+k.version)
	cmd.Env = append(os.Environ(), "GOBIN="+tmp, "GOFLAGS=", "GOOS=", "GOARCH=", "CGO_ENABLED=0")
	cmd.Dir = tmp
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go install %s@%s: %w\n%s", k.pkg, k.version, err, end(out))
	}
	if err := os.Rename(filepath.Join(tmp, k.name), bin); err != nil {
		return "", err
	}
	if !k.is(bin) {
		return "", fmt.Errorf("%s is not %s@%s", bin, k.module, k.version)
	}
	return bin, nil
}

// is says whether a file is the program, whole and of its version.
func (k Kind) is(bin string) bool {
	info, err := buildinfo.ReadFile(bin)
	return err == nil && info.Main.Path == k.module && info.Main.Version == k.version
}

// waitLock waits for the lock of a file and holds it until the file is closed.
func waitLock(ctx context.Context, path string) (*os.File, error) {
	for {
		f, err := tryLock(path)
		if !errors.Is(err, errLocked) {
			return f, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %s: %w", path, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// end is the end of what a program said.
func end(out []byte) []byte {
	const most = 4096
	out = bytes.TrimSpace(out)
	return out[max(0, len(out)-most):]
}
