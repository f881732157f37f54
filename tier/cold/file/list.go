//go:build unix

package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strings"

	"github.com/firnlog/firn/tier/cold"
)

// List implements cold.Store. Names come folder by folder, sorted within each.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[cold.Info, error] {
	return func(yield func(cold.Info, error) bool) {
		stopped := errors.New("the caller has seen enough")
		err := fs.WalkDir(s.root.FS(), ".", func(path string, e fs.DirEntry, err error) error {
			if err == nil {
				err = ctx.Err()
			}
			switch {
			case errors.Is(err, fs.ErrNotExist) && path != ".":
				return nil // deleted since its folder was read
			case err != nil:
				return err
			case e.IsDir():
				if path != "." && !worthEntering(path+"/", prefix, after) {
					return fs.SkipDir
				}
				return nil
			case !e.Type().IsRegular(), !strings.HasPrefix(path, prefix), path <= after, cold.CheckName(path) != nil:
				return nil
			}
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			if !yield(cold.Info{Name: path, Size: info.Size(), Modified: info.ModTime()}, nil) {
				return stopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, stopped) {
			yield(cold.Info{}, fmt.Errorf("list %s: %w", prefix, explain(err)))
		}
	}
}

// worthEntering reports whether names under dir, which ends in a slash, can start
// with prefix and be greater than after.
func worthEntering(dir, prefix, after string) bool {
	if strings.HasPrefix(dir, ".") {
		return false // the drivers' own
	}
	return (strings.HasPrefix(dir, prefix) || strings.HasPrefix(prefix, dir)) &&
		(dir > after || strings.HasPrefix(after, dir))
}
