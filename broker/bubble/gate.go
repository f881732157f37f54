package bubble

import (
	"context"
	"iter"

	"github.com/firnlog/firn/tier/cold"
)

// Gate is a process's way to the bucket: what a killed process asks never arrives,
// and what it is told it never hears; what a paused process asks or is told waits
// until it goes on, whatever its contexts say, since it looks at none meanwhile.
type Gate struct {
	Process *Process
	Store   cold.Store
}

var _ cold.Store = Gate{}

// through waits before and after do until the process runs.
func (g Gate) through(do func() error) error {
	if err := g.Process.Await(); err != nil {
		return err
	}
	err := do()
	if killed := g.Process.Await(); killed != nil {
		return killed
	}
	return err
}

// PutIfAbsent implements cold.Store.
func (g Gate) PutIfAbsent(ctx context.Context, name string, body cold.Body) error {
	return g.through(func() error { return g.Store.PutIfAbsent(ctx, name, body) })
}

// Get implements cold.Store.
func (g Gate) Get(ctx context.Context, name string, r cold.Range, buf []byte) (got []byte, err error) {
	err = g.through(func() error { got, err = g.Store.Get(ctx, name, r, buf); return err })
	if err != nil {
		return buf, err
	}
	return got, nil
}

// Stat implements cold.Store.
func (g Gate) Stat(ctx context.Context, name string) (info cold.Info, err error) {
	err = g.through(func() error { info, err = g.Store.Stat(ctx, name); return err })
	return info, err
}

// List implements cold.Store.
func (g Gate) List(ctx context.Context, prefix, after string) iter.Seq2[cold.Info, error] {
	return func(yield func(cold.Info, error) bool) {
		var all []cold.Info
		err := g.through(func() error {
			for info, err := range g.Store.List(ctx, prefix, after) {
				if err != nil {
					return err
				}
				all = append(all, info)
			}
			return nil
		})
		for _, info := range all {
			if !yield(info, nil) {
				return
			}
		}
		if err != nil {
			yield(cold.Info{}, err)
		}
	}
}

// Delete implements cold.Store.
func (g Gate) Delete(ctx context.Context, name string) error {
	return g.through(func() error { return g.Store.Delete(ctx, name) })
}
