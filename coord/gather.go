package coord

import (
	"context"
	"errors"

	"github.com/firnlog/firn/coord/group"
)

// gather asks all shards and puts their answers together. All are asked, whatever
// some fail with; of shards that are loading or fail, the first error is returned
// beside what the others have. Those that end meanwhile are left out.
func gather[T any](ctx context.Context, shards []*shard, of func(m *group.Machine) []T) ([]T, error) {
	type answer struct {
		list []T
		err  error
	}
	answers := make([]chan answer, len(shards))
	for i, s := range shards {
		answers[i] = make(chan answer, 1)
		go func() {
			l, err := ask[[]T](ctx, s, func(m *group.Machine, _, _ int64, t any) { m.Answer(t, of(m)) })
			answers[i] <- answer{l, err}
		}()
	}
	var out []T
	var fault error
	for _, ch := range answers {
		a := <-ch // ask ends with ctx or the shard (C4)
		switch {
		case a.err == nil:
			out = append(out, a.list...)
		case !errors.Is(a.err, group.ErrNotCoordinator) && fault == nil:
			fault = a.err
		}
	}
	return out, fault
}
