package coord

import (
	"context"
	"errors"
	"time"

	"github.com/firnlog/firn/coord/group"
	"github.com/firnlog/firn/record"
)

// load rebuilds the machine from the log, and refuses requests meanwhile.
func (s *shard) load(ctx context.Context) (*group.Machine, error) {
	var m *group.Machine
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		m, err = s.replay(ctx)
	}()
	s.refuse(ctx, group.ErrLoading, done)
	<-done // Read ends with ctx
	return m, err
}

// replay reads the partition. What it does not understand it skips: one bad record
// must not take a fiftieth of all groups away.
func (s *shard) replay(ctx context.Context) (*group.Machine, error) {
	m := group.New(s.config(), memberID)
	dec := record.BorrowDecoder()
	defer dec.Return()
	began := time.Now()
	records, skipped := 0, 0
	var why error
	skip := func(err error) {
		if skipped++; why == nil {
			why = err
		}
	}
	err := s.log.Read(ctx, s.partition, func(batch []byte) error {
		h, err := record.ParseHeader(batch)
		if err != nil {
			return err
		}
		if h.Control() {
			switch e, ok, err := record.ParseEndTxn(h, batch, dec); {
			case err != nil:
				skip(err)
			case ok:
				m.EndTxn(h.ProducerID, e.Marker == record.Commit)
			}
			return nil
		}
		producer := int64(-1)
		if h.Transactional() {
			producer = h.ProducerID
		}
		it := record.Iterate(h, batch, dec)
		for it.Next() {
			records++
			if err := m.ReplayTxn(producer, it.Record.Key, it.Record.Value); err != nil {
				skip(err)
			}
		}
		if err := it.Err(); errors.Is(err, record.ErrInvalidRecord) {
			skip(err)
		} else if err != nil {
			return err
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if skipped > 0 {
		s.logger.Warn("records of __consumer_offsets were not understood and skipped", "records", skipped, "first", why)
	}
	s.logger.Debug("groups loaded", "records", records, "took", time.Since(began).Round(time.Millisecond).String())
	return m, nil
}
