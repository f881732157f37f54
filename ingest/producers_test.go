package ingest

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firnlog/firn/record"
)

var t0 = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const (
	attrTxn     = 0x10
	attrControl = 0x20
)

// sent is the header of an idempotent batch.
func sent(id int64, epoch int16, seq, records int32) *record.Header {
	return &record.Header{ProducerID: id, ProducerEpoch: epoch, BaseSequence: seq, LastOffsetDelta: records - 1, NumRecords: records}
}

// log is a Producers with a log end.
type sequenced struct {
	*Producers
	end int64
}

func (l *sequenced) send(t *testing.T, h *record.Header, at time.Time) (base int64, again bool, err error) {
	t.Helper()
	s, again, err := l.Check(h, at)
	if err != nil || again {
		return s.Base, again, err
	}
	base = l.end
	l.end += int64(h.LastOffsetDelta) + 1
	l.Append(h, base, at)
	return base, false, nil
}

func producers() *sequenced { return &sequenced{NewProducers(100, 24*time.Hour), 0} }

func TestLastFiveBatchesAreAnsweredWithTheirOffsets(t *testing.T) { // kafka.md 25
	l := producers()
	var bases []int64
	for i := range int32(7) {
		base, again, err := l.send(t, sent(1, 0, i*10, 10), t0)
		require.NoError(t, err)
		require.False(t, again)
		bases = append(bases, base)
	}
	for i := int32(2); i < 7; i++ {
		base, again, err := l.send(t, sent(1, 0, i*10, 10), t0)
		require.NoError(t, err)
		assert.True(t, again)
		assert.Equal(t, bases[i], base)
	}
	_, _, err := l.send(t, sent(1, 0, 10, 10), t0)
	assert.ErrorIs(t, err, ErrOutOfOrderSequence, "older than the last five")
	_, _, err = l.send(t, sent(1, 0, 60, 5), t0)
	assert.ErrorIs(t, err, ErrOutOfOrderSequence, "same first sequence, other last one")
	_, _, err = l.send(t, sent(1, 0, 80, 10), t0)
	assert.ErrorIs(t, err, ErrOutOfOrderSequence, "a gap")
}

func TestSequencesWrapToZero(t *testing.T) { // kafka.md 26
	l := producers()
	_, _, err := l.send(t, sent(1, 0, math.MaxInt32-2, 3), t0)
	require.NoError(t, err)
	_, again, err := l.send(t, sent(1, 0, 0, 1), t0)
	require.NoError(t, err)
	assert.False(t, again)

	l = producers() // a batch that spans the wrap
	_, _, err = l.send(t, sent(1, 0, math.MaxInt32-1, 4), t0)
	require.NoError(t, err)
	_, _, err = l.send(t, sent(1, 0, 2, 1), t0)
	require.NoError(t, err)
	base, again, err := l.send(t, sent(1, 0, math.MaxInt32-1, 4), t0)
	require.NoError(t, err)
	assert.True(t, again)
	assert.Zero(t, base)
}

func TestUnknownProducersBeginAnywhere(t *testing.T) { // kafka.md 27
	l := producers()
	_, _, err := l.send(t, sent(1, 3, 41, 1), t0)
	require.NoError(t, err)
	_, _, err = l.send(t, sent(1, 3, 42, 1), t0.Add(23*time.Hour))
	require.NoError(t, err)
	_, _, err = l.send(t, sent(1, 3, 7, 1), t0.Add(48*time.Hour))
	require.NoError(t, err, "its state has expired")
	for seq := int32(8); seq < 50; seq++ {
		_, again, err := l.send(t, sent(1, 3, seq, 1), t0.Add(48*time.Hour))
		require.NoError(t, err)
		require.False(t, again, "sequence %d was sent before its state expired, and not since", seq)
	}

	l = producers()
	for _, at := range []time.Duration{0, 48 * time.Hour} {
		for seq := range int32(4) {
			_, again, err := l.send(t, sent(1, 3, seq, 1), t0.Add(at))
			require.NoError(t, err)
			require.False(t, again, "sequence %d", seq)
		}
	}
}

func TestEpochsFenceProducers(t *testing.T) { // kafka.md 27, 28
	l := producers()
	_, _, err := l.send(t, sent(1, 3, 0, 1), t0)
	require.NoError(t, err)
	_, _, err = l.send(t, sent(1, 2, 1, 1), t0)
	assert.ErrorIs(t, err, ErrInvalidProducerEpoch)
	_, _, err = l.send(t, sent(1, 4, 1, 1), t0)
	assert.ErrorIs(t, err, ErrOutOfOrderSequence, "a new epoch begins at 0")
	_, _, err = l.send(t, sent(1, 4, 0, 1), t0)
	require.NoError(t, err)
	_, _, err = l.send(t, sent(1, 3, 0, 1), t0)
	assert.ErrorIs(t, err, ErrInvalidProducerEpoch, "a duplicate of an old epoch is no duplicate")
}

func TestOpenTransactionsHoldTheStableOffset(t *testing.T) { // kafka.md 29, 33
	l := producers()
	begin := sent(1, 0, 0, 5)
	begin.Attributes = attrTxn
	_, _, err := l.send(t, begin, t0)
	require.NoError(t, err)
	_, _, err = l.send(t, sent(2, 0, 0, 5), t0)
	require.NoError(t, err)
	assert.EqualValues(t, 0, l.Stable(l.end))
	_, _, err = l.send(t, sent(1, 0, 5, 1), t0)
	assert.ErrorIs(t, err, ErrInvalidTxnState)

	restored := NewProducers(100, time.Hour)
	restored.Put(l.Snapshot(t0))
	assert.EqualValues(t, 0, restored.Stable(l.end))

	marker := &record.Header{ProducerID: 1, BaseSequence: -1, Attributes: attrTxn | attrControl, NumRecords: 1}
	_, _, err = l.send(t, marker, t0)
	require.NoError(t, err)
	assert.Equal(t, l.end, l.Stable(l.end))
}

func TestProducersAreBounded(t *testing.T) {
	l := &sequenced{NewProducers(3, time.Hour), 0}
	open := sent(1, 0, 0, 1)
	open.Attributes = attrTxn
	for id, h := range []*record.Header{open, sent(2, 0, 0, 1), sent(3, 0, 0, 1), sent(4, 0, 0, 1), sent(5, 0, 0, 1)} {
		_, _, err := l.send(t, h, t0.Add(time.Duration(id)*time.Second))
		require.NoError(t, err)
	}
	assert.Equal(t, 3, l.Len())
	_, known := l.Lookup(1)
	assert.True(t, known, "an open transaction is kept")
	_, known = l.Lookup(2)
	assert.False(t, known)

	l.Append(sent(9, 0, 0, 1), 100, t0.Add(2*time.Hour))
	assert.Equal(t, 2, l.Len(), "the expired are gone")
}

func TestSnapshotsRestoreWhatTheyWereTakenFrom(t *testing.T) { // kafka.md 25: after a restart
	l := producers()
	for i := range int32(9) {
		for id := range int64(3) {
			_, _, err := l.send(t, sent(id, 0, i, 1), t0)
			require.NoError(t, err)
		}
	}
	snap := l.Snapshot(t0)
	again := NewProducers(100, 24*time.Hour)
	again.Put(snap)
	assert.Equal(t, snap, again.Snapshot(t0))
	_, dup, err := again.Check(sent(1, 0, 8, 1), t0)
	require.NoError(t, err)
	assert.True(t, dup)
	assert.Empty(t, again.Snapshot(t0.Add(25*time.Hour)))
}
