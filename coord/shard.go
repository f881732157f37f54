package coord

import (
	"context"
	"log/slog"
	"time"

	"github.com/firnlog/firn/coord/group"
	"github.com/firnlog/firn/record"
)

// shard is one partition of __consumer_offsets and the loop that owns it.
type shard struct {
	partition int32
	log       Log
	logger    *slog.Logger
	config    func() group.Config
	stop      context.CancelFunc

	inbox chan request
	ended chan struct{}
}

// request is something to do on the loop. answer receives one value: the answer,
// or an error of type failure.
type request struct {
	do     func(m *group.Machine, now, wall int64, token any)
	answer chan any
}

type failure struct{ err error }

func newShard(p int32, l Log, logger *slog.Logger, config func() group.Config) *shard {
	return &shard{partition: p, log: l, logger: logger, config: config, inbox: make(chan request), ended: make(chan struct{})}
}

// ask runs do on the loop and waits for the answer that comes with the token.
func (s *shard) ask(ctx context.Context, do func(m *group.Machine, now, wall int64, token any)) (any, error) {
	r := request{do, make(chan any, 1)}
	select {
	case s.inbox <- r:
	case <-s.ended:
		return nil, group.ErrNotCoordinator
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case a := <-r.answer:
		if f, ok := a.(failure); ok {
			return nil, f.err
		}
		return a, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// tell runs do on the loop; what it returns is the answer, once it is durable.
func (s *shard) tell(ctx context.Context, do func(m *group.Machine, now, wall int64) any) (any, error) {
	type wrapped struct{ v any }
	v, err := s.ask(ctx, func(m *group.Machine, now, wall int64, token any) { m.Answer(token, wrapped{do(m, now, wall)}) })
	if err != nil {
		return nil, err
	}
	return v.(wrapped).v, nil
}

// run loads the partition and serves it, again after every failed append (C2),
// until ctx ends.
func (s *shard) run(ctx context.Context) {
	defer close(s.ended)
	pause := 50 * time.Millisecond
	for ctx.Err() == nil {
		m, err := s.load(ctx)
		if err == nil {
			pause = 50 * time.Millisecond
			s.serve(ctx, m)
			continue
		}
		if ctx.Err() == nil {
			s.logger.Warn("groups cannot be loaded; trying again", "err", err)
		}
		s.refuse(ctx, time.After(pause))
		pause = min(2*pause, 5*time.Second)
	}
}

// refuse answers requests with ErrLoading until something happens.
func (s *shard) refuse(ctx context.Context, until <-chan time.Time) {
	for {
		select {
		case r := <-s.inbox:
			r.answer <- failure{group.ErrLoading}
		case <-until:
			return
		case <-ctx.Done():
			return
		}
	}
}

// load rebuilds the machine from the log, and refuses requests meanwhile.
func (s *shard) load(ctx context.Context) (*group.Machine, error) {
	type loaded struct {
		m   *group.Machine
		err error
	}
	done := make(chan loaded, 1)
	go func() {
		m := group.New(s.config(), memberID)
		var dec record.Decoder
		skipped := 0
		err := s.log.Read(ctx, s.partition, func(batch []byte) error {
			h, err := record.ParseHeader(batch)
			if err != nil || h.Control() {
				return err
			}
			it := record.Iterate(h, batch, &dec)
			for it.Next() {
				// The decoder's buffer is used again; what is kept must be its own.
				if !m.Replay(append([]byte(nil), it.Record.Key...), clone(it.Record.Value)) {
					skipped++
				}
			}
			return it.Err()
		})
		if skipped > 0 {
			s.logger.Warn("records of __consumer_offsets were not understood and skipped", "records", skipped)
		}
		done <- loaded{m, err}
	}()
	for {
		select {
		case r := <-s.inbox:
			r.answer <- failure{group.ErrLoading}
		case l := <-done:
			return l.m, l.err
		}
	}
}

func clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append([]byte{}, b...)
}

// maxBatch bounds the records of one append.
const maxBatch = 1000

// serve is the loop: it returns when ctx ends or an append has failed.
func (s *shard) serve(ctx context.Context, m *group.Machine) {
	c := clock{time.Now()}
	m.Loaded(c.now())
	var (
		records          []group.Record // not appended yet
		answers          []group.Answer // not given yet; After counts from the start
		written, durable int            // records since the start
		appending        int
		appended         = make(chan error, 1)
	)
	timer := time.NewTimer(0)
	defer timer.Stop()
	fail := func(err error) {
		for _, a := range answers {
			a.Token.(chan any) <- failure{err}
		}
	}
	for {
		out := m.Take()
		for _, a := range out.Answers {
			a.After += written
			answers = append(answers, a)
		}
		records = append(records, out.Records...)
		written += len(out.Records)
		if appending == 0 && len(records) > 0 { // C1
			appending = min(len(records), maxBatch)
			batch, err := encode(records[:appending], c.wall())
			records = records[appending:]
			go func() {
				if err == nil {
					err = s.log.Append(ctx, s.partition, batch)
				}
				appended <- err
			}()
		}
		n := 0
		for n < len(answers) && answers[n].After <= durable { // G3
			answers[n].Token.(chan any) <- answers[n].Response
			n++
		}
		answers = answers[n:]
		if next := m.Tick(c.now(), c.wall()); next >= 0 {
			timer.Reset(time.Duration(max(0, next-c.now())) * time.Millisecond)
		}
		if m.Peek() {
			continue // the tick did something
		}
		select {
		case r := <-s.inbox:
			r.do(m, c.now(), c.wall(), r.answer)
		case <-timer.C:
		case err := <-appended:
			if err != nil {
				s.logger.Warn("group state could not be written; loading it again", "err", err)
				fail(group.ErrNotAvailable)
				for _, t := range m.Waiting() {
					t.(chan any) <- failure{group.ErrNotAvailable}
				}
				return
			}
			durable += appending
			appending = 0
		case <-ctx.Done():
			fail(group.ErrNotCoordinator)
			// Parked members are told as well: their tokens are in the machine.
			for _, t := range m.Waiting() {
				t.(chan any) <- failure{group.ErrNotCoordinator}
			}
			if appending > 0 {
				<-appended
			}
			return
		}
	}
}

// encode makes a batch of records.
func encode(rs []group.Record, wall int64) ([]byte, error) {
	var b record.Builder
	for _, r := range rs {
		b.Add(wall, r.Key, r.Value)
	}
	return b.Build()
}
