package coord

import (
	"context"
	"time"

	"github.com/firnlog/firn/coord/group"
	"github.com/firnlog/firn/record"
)

// What one append holds at most: Kafka's default for the size of a batch, but for
// a record that is larger.
const (
	maxBatchRecords = 10000
	maxBatchBytes   = 1 << 20
)

// configEvery is how often the limits are asked for again.
const configEvery = 10 * time.Second

// patience is how long an append may take before those who wait for it are told to try
// again. The append itself is waited for: before, nobody can say what the log will be.
const patience = 30 * time.Second

// brisk is how much of an append counts as time; for the rest of it the machine's clock
// stands still (C5). Who waits for the log, for two appends as a rule, cannot heartbeat,
// since a connection is answered in order. Sessions are longer than twice this.
const brisk = time.Second

// session is one life of a machine, from its load to its end.
type session struct {
	s        *shard
	m        *group.Machine
	began    time.Time
	records  []group.Record // not appended yet
	answers  []group.Answer // not given yet
	durable  uint64         // records that are, since the load
	inFlight uint64         // records of the append under way; 0 when there is none
	since    time.Time      // when it began
	stood    time.Duration  // what appends that have ended took beyond brisk
	appended chan error
}

// now only grows and begins with 1, and stands still while an append takes long; wall is
// since 1970.
func (x *session) now() int64 {
	return 1 + (time.Since(x.began) - x.stood - x.standing()).Milliseconds()
}

func (x *session) wall() int64 { return x.s.clock().UnixMilli() }

// standing is what the append under way takes beyond brisk.
func (x *session) standing() time.Duration {
	if x.inFlight == 0 {
		return 0
	}
	return max(0, time.Since(x.since)-brisk)
}

// wait is how long nothing happens by itself, given when the machine wants to be called.
func (x *session) wait(next int64) time.Duration {
	wait := time.Duration(max(0, next-x.now())) * time.Millisecond
	switch {
	case x.inFlight == 0:
		return wait
	case x.standing() > 0:
		return patience - time.Since(x.since)
	}
	return min(wait, patience-time.Since(x.since))
}

// serve is the loop: it returns when ctx ends or an append has failed, and then
// nobody waits for this machine and no append is under way.
func (s *shard) serve(ctx, life context.Context, m *group.Machine) {
	x := &session{s: s, m: m, began: time.Now(), appended: make(chan error, 1)}
	m.Loaded(x.now(), x.wall())
	m.Prune(s.topics)
	configured := x.began
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		next := m.Tick(x.now(), x.wall())
		x.take()
		x.append(life)
		x.give()
		timer.Reset(x.wait(next))
		select {
		case r := <-s.inbox:
			if time.Since(configured) > configEvery {
				m.Configure(s.config())
				configured = time.Now()
			}
			r.do(m, x.now(), x.wall(), r.answer)
		case <-timer.C:
			if x.inFlight > 0 && time.Since(x.since) >= patience {
				s.logger.Warn("groups are not written for long; who asks is told to try again", "since", time.Since(x.since).Round(time.Second).String())
				x.abandon(group.ErrNotAvailable)
				x.outlast(ctx, group.ErrLoading)
				return
			}
		case err := <-x.appended:
			if err != nil {
				s.logger.Warn("groups could not be written; loading them again", "err", err)
				x.abandon(group.ErrNotAvailable)
				return
			}
			x.stood += x.standing()
			x.durable += x.inFlight
			x.inFlight = 0
		case <-ctx.Done():
			x.abandon(group.ErrNotCoordinator)
			x.outlast(ctx, group.ErrNotCoordinator)
			return
		}
	}
}

// take gets from the machine what is to be done.
func (x *session) take() {
	if !x.m.Peek() {
		return
	}
	out := x.m.Take()
	x.records = append(x.records, out.Records...)
	x.answers = append(x.answers, out.Answers...)
}

// append starts an append when none is under way (C1).
func (x *session) append(ctx context.Context) {
	if x.inFlight > 0 || len(x.records) == 0 {
		return
	}
	var b record.Builder
	n, wall := 0, x.wall()
	for n < len(x.records) && n < maxBatchRecords {
		r := x.records[n]
		if n > 0 && b.Size()+len(r.Key)+len(r.Value) > maxBatchBytes {
			break
		}
		b.Add(wall, r.Key, r.Value)
		n++
	}
	batch, err := b.Build()
	if x.records = x.records[n:]; len(x.records) == 0 {
		x.records = nil
	}
	x.inFlight, x.since = uint64(n), time.Now()
	go func() {
		if err == nil {
			err = x.s.log.Append(ctx, x.s.partition, batch)
		}
		x.appended <- err
	}()
}

// give gives the answers that wait for nothing any more (G3).
func (x *session) give() {
	waiting := x.answers[:0]
	for _, a := range x.answers {
		if a.After <= x.durable {
			reply(a.Token, a.Response)
		} else {
			waiting = append(waiting, a)
		}
	}
	clear(x.answers[len(waiting):])
	x.answers = waiting
}

// abandon tells everybody who waits, for the log or for their group, that nobody
// will answer them here.
func (x *session) abandon(err error) {
	x.take()
	x.give()
	for _, a := range x.answers {
		reply(a.Token, failure{err})
	}
	x.answers = nil
	for _, t := range x.m.Waiting() {
		reply(t, failure{err})
	}
}

// outlast waits for the append under way (C3), and refuses what comes meanwhile.
func (x *session) outlast(ctx context.Context, why error) {
	given := ctx.Done()
	for x.inFlight > 0 {
		select {
		case <-x.appended:
			x.inFlight = 0
		case r := <-x.s.inbox:
			r.answer <- failure{why}
		case <-given:
			why, given = group.ErrNotCoordinator, nil
		}
	}
}
