package ingest

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/firnlog/firn/record"
)

// bench drives a machine by hand and keeps what it put out.
type bench struct {
	*Machine
	t       require.TestingT
	now     time.Time
	puts    []*Slot
	commits []Commit
	answers []*Request
	dropped []*Slot
	lost    int64
	next    time.Time
	timeout time.Duration // of requests
}

func newBench(t require.TestingT, cfg Config, partitions ...record.Partition) *bench {
	b := &bench{Machine: New(cfg), t: t, now: t0, timeout: time.Minute}
	b.Begin(7, nil)
	for _, p := range partitions {
		b.Own(p, Start{Epoch: 3})
	}
	return b
}

func part(i int32) record.Partition { return record.Partition{Topic: record.TopicID{1}, Index: i} }

// step lets time pass and performs.
func (b *bench) step(d time.Duration) {
	b.now = b.now.Add(d)
	b.next = b.Step(b.now)
	out := b.Take()
	b.puts = append(b.puts, out.Puts...)
	b.commits = append(b.commits, out.Commits...)
	b.answers = append(b.answers, out.Answers...)
	b.dropped = append(b.dropped, out.Dropped...)
	b.lost += out.Lost
}

func batchOf(p record.Partition, h record.Header) Item {
	h.NumRecords = max(h.NumRecords, 1)
	h.LastOffsetDelta = h.NumRecords - 1
	h.Length = record.HeaderLen - record.Overhead
	return Item{Partition: p, Batch: make([]byte, record.HeaderLen), Header: h}
}

// plain is a batch of a producer without id.
func plain(p record.Partition, records int32) Item {
	return batchOf(p, record.Header{ProducerID: -1, BaseSequence: -1, NumRecords: records})
}

func (b *bench) send(acks Acks, items ...Item) *Request {
	r := &Request{Acks: acks, Timeout: b.timeout, Items: items, Token: len(b.answers)}
	b.Append(b.now, r)
	b.step(0)
	return r
}

func (b *bench) done(seq uint64, o Outcome) {
	b.PutDone(b.now, seq, o)
	b.step(0)
}

func (b *bench) answered(r *Request) bool {
	for _, a := range b.answers {
		if a == r {
			return true
		}
	}
	return false
}

func TestAcksAllWaitsForItsSlotAndAllBefore(t *testing.T) { // S4, W3
	b := newBench(t, Config{}, part(0))
	r0 := b.send(AcksAll, plain(part(0), 2))
	r1 := b.send(AcksAll, plain(part(0), 3))
	b.step(time.Second) // beside the one in flight
	require.Len(t, b.puts, 2)
	b.done(1, Mine)
	assert.Empty(t, b.answers, "slot 0 is not filled")
	assert.Empty(t, b.commits)
	b.done(0, Mine)
	assert.Equal(t, []*Request{r0, r1}, b.answers)
	assert.EqualValues(t, 0, r0.Results[0].Base)
	assert.EqualValues(t, 2, r1.Results[0].Base)
	_, hw, _ := b.Owned(part(0))
	assert.EqualValues(t, 5, hw)
	bytes := b.puts[1].Parts[0].Batches[0].Bytes
	assert.EqualValues(t, 2, binary.BigEndian.Uint64(bytes), "the batch bears its offset")
	assert.EqualValues(t, 3, binary.BigEndian.Uint32(bytes[12:]), "and the epoch")
}

func TestAcksNoneIsAnsweredAtOnceAndAcksLeaderByTheHotTier(t *testing.T) { // kafka.md 20, P2
	b := newBench(t, Config{}, part(0))
	none := b.send(AcksNone, plain(part(0), 1))
	assert.True(t, b.answered(none))
	leader := b.send(AcksLeader, plain(part(0), 1))
	b.step(time.Second)
	require.Len(t, b.puts, 2)
	assert.False(t, b.puts[0].Sync)
	assert.True(t, b.puts[1].Sync)
	b.HotDone(1)
	b.step(0)
	assert.False(t, b.answered(leader), "the hot tier has a gap at slot 0")
	b.HotDone(0)
	b.step(0)
	assert.True(t, b.answered(leader))
	b.done(0, Fenced)
	assert.EqualValues(t, 1, b.lost)

	b = newBench(t, Config{}, part(0))
	leader = b.send(AcksLeader, plain(part(0), 1))
	b.done(0, Mine)
	assert.True(t, b.answered(leader), "the bucket will do, too")
}

func TestDuplicatesWaitForTheOriginal(t *testing.T) { // W6, kafka.md 25
	b := newBench(t, Config{}, part(0))
	first := b.send(AcksAll, batchOf(part(0), *sent(5, 0, 0, 3)))
	again := b.send(AcksAll, batchOf(part(0), *sent(5, 0, 0, 3)))
	b.step(time.Second)
	require.Len(t, b.puts, 1, "it is not appended twice")
	assert.Empty(t, b.answers)
	b.done(0, Mine)
	assert.Equal(t, []*Request{first, again}, b.answers)
	assert.EqualValues(t, 0, again.Results[0].Base)
	late := b.send(AcksAll, batchOf(part(0), *sent(5, 0, 0, 3)))
	assert.True(t, b.answered(late), "committed: answered at once")
	require.Len(t, b.puts[0].Parts[0].Producers, 1)
	assert.Equal(t, b.puts[0].Parts[0].Producers, b.Producers(part(0), b.now))
}

func TestWhatIsNotCommittedIsNotInSnapshots(t *testing.T) { // S4
	b := newBench(t, Config{}, part(0))
	b.send(AcksAll, batchOf(part(0), *sent(5, 0, 0, 3)))
	assert.Empty(t, b.Producers(part(0), b.now))
}

func TestOnePartOfARequestDoesNotSpoilTheOthers(t *testing.T) {
	b := newBench(t, Config{}, part(0), part(1))
	r := b.send(AcksAll, plain(part(0), 1), plain(part(9), 1), batchOf(part(1), record.Header{ProducerID: 1, ProducerEpoch: -1, BaseSequence: 0}))
	assert.False(t, b.answered(r))
	b.done(0, Mine)
	require.True(t, b.answered(r))
	assert.NoError(t, r.Results[0].Err)
	assert.ErrorIs(t, r.Results[1].Err, ErrNotLeader)
	assert.ErrorIs(t, r.Results[2].Err, record.ErrInvalidRecord)
}

func TestAFenceEndsTheSession(t *testing.T) { // S3, W4, W5
	b := newBench(t, Config{Window: 3}, part(0))
	r0 := b.send(AcksAll, plain(part(0), 1))
	r1 := b.send(AcksAll, plain(part(0), 1))
	b.step(time.Second)
	r2 := b.send(AcksAll, plain(part(0), 1))
	b.step(time.Second)
	waiting := b.send(AcksAll, plain(part(0), 1)) // in the open slot
	require.Len(t, b.puts, 3)
	b.done(2, Mine)
	b.done(1, Fenced)
	assert.Equal(t, Over, b.Phase())
	for _, r := range []*Request{r1, r2, waiting} {
		require.True(t, b.answered(r))
		assert.ErrorIs(t, r.Results[0].Err, ErrNotLeader)
	}
	assert.Len(t, b.dropped, 3)
	assert.False(t, b.answered(r0), "slot 0 lies below the fence: the fencer found it")
	b.done(0, Mine)
	assert.NoError(t, r0.Results[0].Err)
	assert.Len(t, b.commits, 1)
	assert.True(t, b.Quiet())
	b.done(2, Mine) // what comes late is ignored
	assert.Len(t, b.commits, 1)
	r := b.send(AcksAll, plain(part(0), 1))
	assert.ErrorIs(t, r.Results[0].Err, ErrNotLeader)
	pending, _ := b.Pending()
	assert.Zero(t, pending)
}

func TestASealInTheCatalogEndsTheSession(t *testing.T) { // S7
	for fence := range uint64(4) {
		b := newBench(t, Config{Window: 3}, part(0))
		var rs []*Request
		for range 3 {
			rs = append(rs, b.send(AcksAll, plain(part(0), 1)))
			b.step(time.Second)
		}
		waiting := b.send(AcksAll, plain(part(0), 1)) // in the open slot
		b.Sealed(fence)
		b.step(0)
		assert.Equal(t, Over, b.Phase())
		require.True(t, b.answered(waiting))
		assert.ErrorIs(t, waiting.Results[0].Err, ErrNotLeader)
		for i, r := range rs {
			b.done(uint64(i), Mine) // those above the fence come late and are ignored
			require.True(t, b.answered(r))
			if uint64(i) < fence {
				assert.NoError(t, r.Results[0].Err, "slot %d of %d", i, fence)
			} else {
				assert.ErrorIs(t, r.Results[0].Err, ErrNotLeader, "slot %d of %d", i, fence)
			}
		}
		assert.Len(t, b.commits, int(fence))
		assert.True(t, b.Quiet())
	}
	// Also one that is going to rotate.
	b := newBench(t, Config{}, part(0))
	b.Drain()
	b.Sealed(0)
	assert.Equal(t, Over, b.Phase())
}

func TestAnOwnershipThatEndedStaysEnded(t *testing.T) { // S8
	b := newBench(t, Config{}, part(0))
	assert.False(t, b.Disown(part(0), 2), "an epoch before this one has ended")
	_, _, owned := b.Owned(part(0))
	assert.True(t, owned)
	assert.True(t, b.Disown(part(0), 3))
	b.Own(part(0), Start{Epoch: 3})
	_, _, owned = b.Owned(part(0))
	assert.False(t, owned, "owned again from where it began")
	b.Own(part(0), Start{Epoch: 4, Next: 7})
	end, _, owned := b.Owned(part(0))
	assert.True(t, owned)
	assert.EqualValues(t, 7, end)
	epoch, _ := b.Epoch(part(0))
	assert.EqualValues(t, 4, epoch)
}

func TestAForeignObjectStopsTheProcess(t *testing.T) { // S3
	b := newBench(t, Config{}, part(0))
	r := b.send(AcksAll, plain(part(0), 1))
	b.done(0, Foreign)
	assert.Equal(t, Stopped, b.Phase())
	assert.ErrorIs(t, r.Results[0].Err, ErrNotLeader)
}

func TestATimeoutIsToldAndTheRecordStays(t *testing.T) { // S2, fault-matrix.md row 15
	b := newBench(t, Config{}, part(0))
	b.timeout = time.Second
	r := b.send(AcksAll, plain(part(0), 1))
	assert.Equal(t, t0.Add(time.Second), b.next)
	b.step(time.Second)
	require.True(t, b.answered(r))
	assert.ErrorIs(t, r.Results[0].Err, ErrTimedOut)
	b.done(0, Mine)
	_, hw, _ := b.Owned(part(0))
	assert.EqualValues(t, 1, hw)
	assert.Len(t, b.answers, 1, "answered once")
}

func TestPendingBytesAreBounded(t *testing.T) { // W7
	b := newBench(t, Config{Pending: 10 * (record.HeaderLen + perBatch), Window: 1}, part(0))
	n := 0
	for ; !b.Full(); n++ {
		b.send(AcksAll, plain(part(0), 1))
	}
	assert.Equal(t, 10, n)
	b.done(0, Mine)
	assert.False(t, b.Full())
}

// Clients that do not batch, and wait for no answer, take no more memory than others.
func TestSmallBatchesTakeTheMemoryThatMayWait(t *testing.T) { // W7
	const pending = 8 << 20
	m := New(Config{Pending: pending, Window: 1})
	m.Begin(7, nil)
	m.Own(part(0), Start{Epoch: 3})
	heap := func() int64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc)
	}
	before := heap()
	for !m.Full() {
		m.Append(t0, &Request{Acks: AcksNone, Items: []Item{plain(part(0), 1)}})
		m.Step(t0)
		m.Take()
	}
	assert.Less(t, heap()-before, int64(2*pending))
	runtime.KeepAlive(m)
}

func TestObjectsAreCutAtTheirLargestSize(t *testing.T) {
	b := newBench(t, Config{Max: 5 * record.HeaderLen, Large: 4 * record.HeaderLen, Window: 1}, part(0))
	b.send(AcksAll, plain(part(0), 1))
	for range 12 {
		b.send(AcksAll, plain(part(0), 1))
	}
	for seq := uint64(0); len(b.answers) < 13; seq++ {
		b.done(seq, Mine)
	}
	var sizes []int
	for _, s := range b.puts {
		sizes = append(sizes, s.Batches)
	}
	assert.Equal(t, []int{1, 5, 5, 2}, sizes)
}

func TestFullSlotsCarryTheProducersOfTheirEnd(t *testing.T) {
	b := newBench(t, Config{Max: record.HeaderLen, Window: 1}, part(0))
	for seq := range int32(3) {
		b.send(AcksAll, batchOf(part(0), *sent(5, 0, seq, 1)))
	}
	b.done(0, Mine)
	require.Len(t, b.puts, 2)
	assert.Len(t, b.puts[1].Parts[0].Producers[0].Sent(), 2, "not the third, which lies in the next slot")
}

func TestARotationRefusesNothing(t *testing.T) { // S9, W8
	b := newBench(t, Config{}, part(0), part(1))
	before := b.send(AcksAll, batchOf(part(0), *sent(5, 0, 0, 1)))
	b.Drain()
	during := b.send(AcksAll, batchOf(part(0), *sent(5, 0, 1, 1)))
	gone := b.send(AcksAll, plain(part(1), 1))
	b.step(time.Millisecond)
	require.Len(t, b.puts, 1, "no slot is bound any more")
	assert.False(t, b.Drained())
	b.done(0, Mine)
	assert.True(t, b.Drained())
	assert.True(t, b.answered(before))
	assert.EqualValues(t, 1, b.Machine.Next())
	b.Begin(8, map[record.Partition]int32{part(0): 4})
	b.step(0)
	require.Len(t, b.puts, 2)
	assert.EqualValues(t, 8, b.puts[1].Session)
	assert.EqualValues(t, 0, b.puts[1].Seq)
	require.Len(t, b.puts[1].Parts, 1)
	assert.EqualValues(t, 4, b.puts[1].Parts[0].Epoch)
	assert.EqualValues(t, 1, b.puts[1].Parts[0].Base)
	assert.ErrorIs(t, gone.Results[0].Err, ErrNotLeader, "its partition went elsewhere")
	b.done(0, Mine)
	assert.NoError(t, during.Results[0].Err)
	again := b.send(AcksAll, batchOf(part(0), *sent(5, 0, 0, 1)))
	assert.EqualValues(t, 0, again.Results[0].Base, "sequences carry over")
}

func TestAReleasedPartitionFinishesFirst(t *testing.T) { // S9
	b := newBench(t, Config{}, part(0), part(1))
	r := b.send(AcksAll, plain(part(0), 1))
	b.Release(part(0))
	b.Release(part(1))
	refused := b.send(AcksAll, plain(part(0), 1))
	assert.ErrorIs(t, refused.Results[0].Err, ErrNotLeader)
	assert.False(t, b.Released(part(0)))
	assert.True(t, b.Released(part(1)))
	b.done(0, Mine)
	assert.NoError(t, r.Results[0].Err)
	assert.True(t, b.Released(part(0)))

	b.Own(part(1), Start{Epoch: 4})
	assert.False(t, b.Released(part(1)), "it is another log, which was not stopped")
}

func TestCloseFlushesWithoutCompany(t *testing.T) {
	b := newBench(t, Config{Rate: 0.001, Burst: time.Second}, part(0))
	b.send(AcksAll, plain(part(0), 1)) // the only credit
	r := b.send(AcksAll, plain(part(0), 1))
	b.step(10 * time.Millisecond)
	require.Len(t, b.puts, 1)
	b.Close()
	b.step(0)
	require.Len(t, b.puts, 2)
	b.done(0, Mine)
	b.done(1, Mine)
	assert.NoError(t, r.Results[0].Err)
	assert.True(t, b.Quiet())
	late := b.send(AcksAll, plain(part(0), 1))
	assert.ErrorIs(t, late.Results[0].Err, ErrNotLeader)
}

func TestRestoredBatchesKeepTheirOffsets(t *testing.T) { // protocol.md 3.6
	b := newBench(t, Config{})
	b.Own(part(0), Start{Epoch: 1, Next: 10})
	it := batchOf(part(0), record.Header{ProducerID: 5, BaseSequence: 77, BaseOffset: 10, NumRecords: 2})
	it.Restore = true
	r := b.send(AcksAll, it)
	it2 := batchOf(part(0), record.Header{ProducerID: -1, BaseOffset: 13})
	it2.Restore = true
	bad := b.send(AcksAll, it2)
	b.done(0, Mine)
	assert.NoError(t, r.Results[0].Err)
	assert.EqualValues(t, 10, r.Results[0].Base)
	assert.ErrorIs(t, bad.Results[0].Err, ErrOffset)
	again := b.send(AcksAll, batchOf(part(0), *sent(5, 0, 77, 2)))
	assert.EqualValues(t, 10, again.Results[0].Base)
}

// Offsets that were given away before a fence belong to what is restored: nobody else gets
// them meanwhile, whatever becomes of the ownership (P2).
func TestWhatIsRestoredComesFirst(t *testing.T) { // protocol.md 3.6
	b := newBench(t, Config{})
	b.Hold([]record.Partition{part(0)})
	b.Own(part(0), Start{Epoch: 1, Next: 10})
	b.Own(part(1), Start{Epoch: 1, Next: 10})
	assert.ErrorIs(t, b.send(AcksAll, plain(part(0), 1)).Results[0].Err, ErrNotLeader)
	other := b.send(AcksAll, plain(part(1), 1))
	it := batchOf(part(0), record.Header{ProducerID: -1, BaseOffset: 10})
	it.Restore = true
	r := b.send(AcksAll, it)
	b.done(0, Mine)
	b.done(1, Mine)
	assert.EqualValues(t, 10, other.Results[0].Base)
	assert.EqualValues(t, 10, r.Results[0].Base)
	b.Own(part(0), Start{Epoch: 2, Next: 11})
	assert.ErrorIs(t, b.send(AcksAll, plain(part(0), 1)).Results[0].Err, ErrNotLeader)
	b.Admit()
	late := b.send(AcksAll, plain(part(0), 1))
	b.done(2, Mine)
	assert.EqualValues(t, 11, late.Results[0].Base)
}

// A producer that was quicker than the hot tier has sent its batch again, to another
// offset: what is restored must not be a second one.
func TestNothingIsRestoredThatWasSentAgain(t *testing.T) { // protocol.md 3.6
	b := newBench(t, Config{})
	b.Own(part(0), Start{Epoch: 1, Next: 10})
	r := b.send(AcksAll, batchOf(part(0), *sent(5, 0, 77, 2)))
	b.done(0, Mine)
	assert.EqualValues(t, 10, r.Results[0].Base)
	h := *sent(5, 0, 77, 2)
	h.BaseOffset = 12
	it := batchOf(part(0), h)
	it.Restore = true
	assert.ErrorIs(t, b.send(AcksAll, it).Results[0].Err, ErrOffset)
	next := b.send(AcksAll, plain(part(0), 1))
	b.done(1, Mine)
	assert.EqualValues(t, 12, next.Results[0].Base)
}

func TestSnapshotsOfAnotherLogDoNoHarm(t *testing.T) {
	b := newBench(t, Config{})
	b.Own(part(0), Start{Next: 10, Producers: []Producer{{ID: 5, TxnStart: 12, N: 9, LastMs: t0.UnixMilli(), Window: [5]Sent{{0, 0, 8, 8}, {1, 1, 11, 11}}}}})
	r := b.send(AcksAll, batchOf(part(0), *sent(5, 0, 1, 1)))
	b.done(0, Mine)
	assert.NoError(t, r.Results[0].Err)
	assert.EqualValues(t, 10, r.Results[0].Base)
}

// TestAnyScheduleKeepsTheInvariants lets random clients, puts and faults loose on a
// machine and checks W1 to W7 after each step.
func TestAnyScheduleKeepsTheInvariants(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := Config{Window: rapid.IntRange(1, 4).Draw(rt, "window"), Max: 6 * record.HeaderLen, Large: 3 * record.HeaderLen, Pending: 40 * (record.HeaderLen + perBatch)}
		b := newBench(rt, cfg, part(0), part(1))
		b.timeout = time.Second
		type produced struct {
			r     *Request
			wants int32
		}
		var all []produced
		var clients [3]int32 // next sequence of each producer
		undecided := map[uint64]bool{}
		seenPuts, session := 0, uint64(7)
		fence := ^uint64(0)
		note := func() {
			for ; seenPuts < len(b.puts); seenPuts++ {
				undecided[b.puts[seenPuts].Seq] = true
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"produce": func(rt *rapid.T) {
				if b.Full() {
					return
				}
				id := rapid.IntRange(0, 2).Draw(rt, "producer")
				seq := clients[id]
				if rapid.Bool().Draw(rt, "again") {
					seq = max(0, seq-1)
				}
				n := int32(1)
				acks := rapid.SampledFrom([]Acks{AcksAll, AcksAll, AcksLeader, AcksNone}).Draw(rt, "acks")
				r := b.send(acks, batchOf(part(int32(id%2)), *sent(int64(id), 0, seq, n)))
				if !b.answered(r) || r.Results[0].Err == nil {
					clients[id] = max(clients[id], seq+1)
				}
				all = append(all, produced{r, seq})
				note()
			},
			"filled": func(rt *rapid.T) {
				for _, s := range b.puts {
					if undecided[s.Seq] && s.Session == session && rapid.Bool().Draw(rt, "this") {
						delete(undecided, s.Seq)
						if s.Seq < fence {
							b.done(s.Seq, Mine)
						}
						break
					}
				}
				note()
			},
			"synced": func(rt *rapid.T) {
				b.HotDone(rapid.Uint64Range(0, uint64(len(b.puts))).Draw(rt, "slot"))
				b.step(0)
				note()
			},
			"time": func(rt *rapid.T) {
				b.step(time.Duration(rapid.IntRange(1, 700).Draw(rt, "ms")) * time.Millisecond)
				note()
			},
			"fenced": func(rt *rapid.T) {
				if fence == ^uint64(0) && rapid.IntRange(0, 20).Draw(rt, "fence") == 0 {
					for seq := range uint64(len(b.puts)) {
						if undecided[seq] {
							fence = seq
							delete(undecided, seq)
							b.done(seq, Fenced)
							return
						}
					}
				}
			},
			"rotate": func(rt *rapid.T) {
				if b.Phase() != Serving || len(undecided) > 0 || session > 7 {
					return
				}
				b.Drain()
				b.step(0)
				if b.Drained() {
					session++
					b.Begin(session, map[record.Partition]int32{part(0): 4, part(1): 4})
					b.step(0)
					note()
				}
			},
			"": func(rt *rapid.T) {
				checkBench(rt, b, fence)
			},
		})
	})
}

func checkBench(t *rapid.T, b *bench, fence uint64) {
	ends := map[record.Partition]int64{}
	var bytes int64
	type key struct {
		session uint64
		seq     uint64
	}
	slots := map[key]bool{}
	for _, s := range b.puts {
		if slots[key{s.Session, s.Seq}] {
			t.Fatalf("W2: slot %d bound twice", s.Seq)
		}
		slots[key{s.Session, s.Seq}] = true
		for i := range s.Parts {
			p := &s.Parts[i]
			if p.Base != ends[p.Partition] {
				t.Fatalf("W1: part at %d, want %d", p.Base, ends[p.Partition])
			}
			at := p.Base
			for _, x := range p.Batches {
				if x.Base != at {
					t.Fatalf("W1: batch at %d, want %d", x.Base, at)
				}
				at = x.Header.NextOffset()
			}
			if at != p.Next {
				t.Fatalf("W1: part ends at %d, its batches at %d", p.Next, at)
			}
			ends[p.Partition] = p.Next
		}
	}
	committed := map[record.Partition]int64{}
	for i, c := range b.commits {
		if i > 0 && c.Session == b.commits[i-1].Session && c.Seq != b.commits[i-1].Seq+1 {
			t.Fatalf("S4: commit of %d after %d", c.Seq, b.commits[i-1].Seq)
		}
		if c.Seq >= fence && c.Session == b.Session() {
			t.Fatalf("W5: commit of %d at fence %d", c.Seq, fence)
		}
		for _, p := range c.Parts {
			committed[p.Partition] = p.Next
		}
	}
	for _, s := range b.flight {
		bytes += s.Bytes
	}
	for _, s := range append(append([]*Slot{}, b.full...), b.open) {
		if s != nil {
			bytes += s.Bytes
		}
	}
	if pending, _ := b.Pending(); pending != bytes {
		t.Fatalf("W7: %d bytes pending, want %d", pending, bytes)
	}
	offsets := map[string]int64{}
	seen := map[*Request]bool{}
	for _, r := range b.answers {
		if seen[r] {
			t.Fatal("answered twice")
		}
		seen[r] = true
		it, res := r.Items[0], r.Results[0]
		if res.Err != nil {
			if r.Acks == AcksAll && res.Err != ErrNotLeader && res.Err != ErrTimedOut && res.Err != ErrOutOfOrderSequence {
				t.Fatalf("W4: %v", res.Err)
			}
			continue
		}
		name := fmt.Sprint(it.Partition, it.Header.ProducerID, it.Header.BaseSequence)
		if was, ok := offsets[name]; ok && was != res.Base {
			t.Fatalf("W6: %s is at %d and %d", name, was, res.Base)
		}
		offsets[name] = res.Base
		if r.Acks == AcksAll && res.Base >= committed[it.Partition] {
			t.Fatalf("W3: acknowledged %d, committed %d", res.Base, committed[it.Partition])
		}
	}
}
