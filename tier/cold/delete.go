package cold

import (
	"context"
	"fmt"
	"sync"
)

// DeleteAll deletes objects, at most atOnce of them at a time, each by a goroutine; with 1
// one after the other, without goroutines. Who deletes what others put as fast as a store
// takes it, with several puts in flight, would not keep up otherwise. After the first
// error it begins no more, and returns it when all that it began have ended.
func DeleteAll(ctx context.Context, s Store, atOnce int, names []string) error {
	if atOnce <= 1 {
		for _, name := range names {
			if err := deleteOne(ctx, s, name); err != nil {
				return err
			}
		}
		return nil
	}
	var (
		tasks sync.WaitGroup
		mu    sync.Mutex // guards next and fail
		next  int
		fail  error
	)
	take := func() (string, bool) {
		mu.Lock()
		defer mu.Unlock()
		if fail != nil || next == len(names) {
			return "", false
		}
		next++
		return names[next-1], true
	}
	for range min(atOnce, len(names)) {
		tasks.Go(func() {
			for name, ok := take(); ok; name, ok = take() {
				if err := deleteOne(ctx, s, name); err != nil {
					mu.Lock()
					if fail == nil {
						fail = err
					}
					mu.Unlock()
				}
			}
		})
	}
	tasks.Wait()
	return fail
}

func deleteOne(ctx context.Context, s Store, name string) error {
	if err := s.Delete(ctx, name); err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	return nil
}
