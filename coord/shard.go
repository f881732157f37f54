package coord

import (
	"context"
	"log/slog"
	"time"

	"github.com/firnlog/firn/coord/group"
)

// shard is one partition of __consumer_offsets and the loop that owns its groups.
type shard struct {
	partition int32
	epoch     int32
	log       Log
	logger    *slog.Logger
	config    func() group.Config
	clock     func() time.Time // the calendar's
	topics    group.Topics
	stop      context.CancelFunc

	inbox chan request
	ended chan struct{}
}

func newShard(l Led, c *Coordinator, stop context.CancelFunc) *shard {
	return &shard{partition: l.Partition, epoch: l.Epoch, log: c.log, logger: c.logger.With("partition", l.Partition),
		config: c.config, clock: c.wall, topics: c.topics, stop: stop,
		inbox: make(chan request), ended: make(chan struct{})}
}

// How long to wait before a partition that could not be loaded is loaded again.
const (
	minPause = 50 * time.Millisecond
	maxPause = 5 * time.Second
)

// run waits for the shard before it to end, loads the partition and serves it,
// again after every failed append (C2), until ctx ends. life is the context of
// appends: who gives a partition up still waits for its last append (C3).
func (s *shard) run(ctx, life context.Context, before *shard) {
	defer close(s.ended)
	defer s.stop()
	if before != nil {
		s.refuse(ctx, group.ErrLoading, before.ended)
		if ctx.Err() != nil {
			// Given up while it waited. The one that comes next waits for this one, and so
			// for the same append.
			s.refuse(life, group.ErrNotCoordinator, before.ended)
		}
	}
	pause := minPause
	for ctx.Err() == nil {
		m, err := s.load(ctx)
		if err == nil {
			began := time.Now()
			s.serve(ctx, life, m)
			if time.Since(began) > maxPause {
				pause = minPause
			}
		} else if ctx.Err() == nil {
			s.logger.Warn("groups cannot be loaded; trying again", "err", err)
		}
		wait, stop := context.WithTimeout(ctx, pause)
		s.refuse(ctx, group.ErrLoading, wait.Done())
		stop()
		pause = min(2*pause, maxPause)
	}
}

// refuse answers requests with err until something happens or ctx ends.
func (s *shard) refuse(ctx context.Context, err error, until <-chan struct{}) {
	for {
		select {
		case r := <-s.inbox:
			r.answer <- failure{err}
		case <-until:
			return
		case <-ctx.Done():
			return
		}
	}
}
