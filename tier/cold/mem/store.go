// Package mem is a bucket in memory: for tests, simulations and firn dev --memory.
// It is as strict as the best of stores: atomic, and consistent at once.
package mem

import (
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/firnlog/firn/tier/cold"
)

// Store is a map from names to bytes. Its times are time.Now, so that a bubble
// of testing/synctest sees virtual ones.
type Store struct {
	mu      sync.RWMutex
	objects map[string]object
}

type object struct {
	data     []byte // never changed
	modified time.Time
}

// New returns an empty store.
func New() *Store { return &Store{objects: make(map[string]object)} }

// PutIfAbsent implements cold.Store. It copies the body.
func (s *Store) PutIfAbsent(ctx context.Context, name string, body cold.Body) error {
	fail := func(err error) error { return fmt.Errorf("put %s: %w", name, err) }
	if err := cold.CheckName(name); err != nil {
		return fail(err)
	}
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	data, err := read(body)
	if err != nil {
		return fail(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.objects[name]; taken {
		return fail(cold.ErrExists)
	}
	s.objects[name] = object{data: data, modified: time.Now()}
	return nil
}

func read(body cold.Body) ([]byte, error) {
	r, err := body.Open()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", cold.ErrBody, err)
	}
	defer r.Close()
	data := make([]byte, body.Size())
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, fmt.Errorf("%w: %w", cold.ErrBody, err)
	}
	if n, _ := r.Read(make([]byte, 1)); n > 0 {
		return nil, fmt.Errorf("%w: longer than its size of %d bytes", cold.ErrBody, body.Size())
	}
	return data, nil
}

func (s *Store) find(ctx context.Context, name string) (object, error) {
	if err := cold.CheckName(name); err != nil {
		return object{}, err
	}
	if err := ctx.Err(); err != nil {
		return object{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	o, ok := s.objects[name]
	if !ok {
		return object{}, cold.ErrNotFound
	}
	return o, nil
}

// Get implements cold.Store.
func (s *Store) Get(ctx context.Context, name string, r cold.Range, buf []byte) ([]byte, error) {
	o, err := s.find(ctx, name)
	if err != nil {
		return buf, fmt.Errorf("get %s: %w", name, err)
	}
	at, n, err := r.Within(int64(len(o.data)))
	if err != nil {
		return buf, fmt.Errorf("get %s: %w", name, err)
	}
	return append(buf, o.data[at:at+n]...), nil
}

// Stat implements cold.Store.
func (s *Store) Stat(ctx context.Context, name string) (cold.Info, error) {
	o, err := s.find(ctx, name)
	if err != nil {
		return cold.Info{}, fmt.Errorf("stat %s: %w", name, err)
	}
	return cold.Info{Name: name, Size: int64(len(o.data)), Modified: o.modified}, nil
}

// List implements cold.Store. It yields the names that were there when it
// started, sorted.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[cold.Info, error] {
	return func(yield func(cold.Info, error) bool) {
		for _, info := range s.snapshot(prefix, after) {
			if err := ctx.Err(); err != nil {
				yield(cold.Info{}, fmt.Errorf("list %s: %w", prefix, err))
				return
			}
			if !yield(info, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(cold.Info{}, fmt.Errorf("list %s: %w", prefix, err))
		}
	}
}

func (s *Store) snapshot(prefix, after string) []cold.Info {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var found []cold.Info
	for name, o := range s.objects {
		if strings.HasPrefix(name, prefix) && name > after {
			found = append(found, cold.Info{Name: name, Size: int64(len(o.data)), Modified: o.modified})
		}
	}
	slices.SortFunc(found, func(a, b cold.Info) int { return strings.Compare(a.Name, b.Name) })
	return found
}

// Delete implements cold.Store.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := cold.CheckName(name); err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, name)
	return nil
}

// Corrupt flips the bits of one byte of an object, as a failing disk would. It
// reports whether there was such a byte.
func (s *Store) Corrupt(name string, at int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[name]
	if !ok || at < 0 || at >= len(o.data) {
		return false
	}
	o.data = slices.Clone(o.data) // a Get may be copying the old bytes
	o.data[at] ^= 0xff
	s.objects[name] = o
	return true
}
