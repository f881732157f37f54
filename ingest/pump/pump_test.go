package pump

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/fault"
	"github.com/firnlog/firn/tier/cold/trace"
	"github.com/firnlog/firn/tier/hot"
	"github.com/firnlog/firn/tier/object"
)

func TestWhatIsAcknowledgedIsInTheBucket(t *testing.T) { // P1, U2
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, Options{})
		for i := range 5 {
			res := r.produce(ingest.AcksAll, part(0), fmt.Sprint("a", i), fmt.Sprint("b", i))
			require.NoError(t, res.Err)
			assert.EqualValues(t, 2*i, res.Base)
			assert.EqualValues(t, -1, res.LogAppendTime)
			pr, ok := r.Progress(part(0))
			require.True(t, ok)
			assert.EqualValues(t, 2*i+2, pr.HighWatermark)
		}
		assert.Equal(t, []string{"a0", "b0", "a1", "b1", "a2", "b2", "a3", "b3", "a4", "b4"}, r.log(part(0)))
		assert.Empty(t, r.log(part(1)))
		assert.Len(t, r.Recent(part(0), 5), 3)
		r.kill()
	})
}

func TestOneRoundTripPerAcknowledgement(t *testing.T) { // P5
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, Options{})
		r.store.Use(fault.Always(fault.Fault{Before: 10 * time.Millisecond, After: 10 * time.Millisecond}))
		for range 20 {
			began := time.Now()
			require.NoError(t, r.produce(ingest.AcksAll, part(0), "x").Err)
			assert.Equal(t, 20*time.Millisecond, time.Since(began))
		}
		r.kill()
	})
}

func TestALostAnswerIsFoundToBeOurs(t *testing.T) { // S3, fault-matrix.md row 14
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, Options{})
		r.store.Use(fault.Script(fault.Step{Op: trace.Put, Times: 1, Fault: fault.Fault{Kind: fault.AnswerLost}}))
		require.NoError(t, r.produce(ingest.AcksAll, part(0), "x").Err)
		assert.Equal(t, []string{"x"}, r.log(part(0)))
		r.kill()
	})
}

func TestAPutThatLandsMinutesLater(t *testing.T) { // S2, fault-matrix.md row 15
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, Options{})
		r.store.Use(fault.Script(
			fault.Step{Op: trace.Put, Times: 1, Fault: fault.Fault{Kind: fault.LandsLater, Landing: 5 * time.Minute}},
			fault.Step{Op: trace.Put, Times: -1, Fault: fault.Fault{Kind: fault.Unavailable}},
		))
		res := r.produce(ingest.AcksAll, part(0), "late")
		assert.ErrorIs(t, res.Err, ingest.ErrTimedOut)
		assert.Empty(t, r.log(part(0)))
		time.Sleep(5 * time.Minute)
		r.store.Use(fault.Healthy)
		require.NoError(t, r.produce(ingest.AcksAll, part(0), "next").Err)
		assert.Equal(t, []string{"late", "next"}, r.log(part(0)), "the slot stayed bound")
		assert.Equal(t, 2, r.slots(r.session.ID))
		r.kill()
	})
}

func TestTheStoreGoesAwayAndComesBack(t *testing.T) { // U4, fault-matrix.md row 12
	synctest.Test(t, func(t *testing.T) {
		const pending = 64 << 10
		var said bytes.Buffer
		r := newRig(t, 1, Options{Ingest: ingest.Config{Pending: pending, Max: 16 << 10}, Logger: slog.New(slog.NewTextHandler(&said, nil))})
		r.store.Use(fault.Always(fault.Fault{Kind: fault.Unavailable}, trace.Put))
		var wg sync.WaitGroup
		var mu sync.Mutex
		outcomes := map[string]int{}
		value := string(make([]byte, 1000))
		for i := range 200 {
			wg.Go(func() {
				res := r.produce(ingest.AcksAll, part(0), fmt.Sprint(i, value))
				mu.Lock()
				defer mu.Unlock()
				outcomes[fmt.Sprint(res.Err)]++
			})
		}
		time.Sleep(5 * time.Second)
		require.NoError(t, r.call(t.Context(), func(time.Time) {
			bytes, _ := r.machine.Pending()
			assert.Less(t, bytes, int64(pending+2000))
		}))
		time.Sleep(time.Minute)
		wg.Wait()
		assert.Equal(t, map[string]int{ingest.ErrTimedOut.Error(): 200}, outcomes)
		r.store.Use(fault.Healthy)
		time.Sleep(10 * time.Second)
		res := r.produce(ingest.AcksAll, part(0), "back")
		require.NoError(t, res.Err)
		log := r.log(part(0))
		assert.Len(t, log, int(res.Base)+1)
		assert.InDelta(t, pending/(1070+512), len(log), 3, "what was accepted stayed bound, the rest was refused")
		r.kill()
		// Several slots wait, and come through one after the other: that is one outage.
		for _, line := range []string{"does not take puts", "takes puts again"} {
			assert.Equal(t, 1, strings.Count(said.String(), line), said.String())
		}
		assert.Regexp(t, `does not take puts[^\n]*for=\d[^\n]*err=[^\n]*[a-z]{4}`, said.String(), "for how long, and why")
	})
}

func TestAFencedBrokerAcknowledgesNothing(t *testing.T) { // S6, fault-matrix.md row 6
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, Options{})
		require.NoError(t, r.produce(ingest.AcksAll, part(0), "mine").Err)
		old, _ := r.Session()
		f, err := Fence(t.Context(), FenceOptions{Store: r.store, Session: old, Nonce: [16]byte{99}})
		require.NoError(t, err)
		assert.EqualValues(t, 1, f.Slot)
		require.Len(t, f.Extents(old.ID), 1)
		res := r.produce(ingest.AcksAll, part(0), "zombie")
		assert.ErrorIs(t, res.Err, ingest.ErrNotLeader)
		<-r.Over()
		_, ok := r.Session()
		assert.False(t, ok)
		_, ok = r.Progress(part(0))
		assert.False(t, ok)
		again, err := Fence(t.Context(), FenceOptions{Store: r.store, Session: old, Nonce: [16]byte{98}})
		require.NoError(t, err)
		assert.Equal(t, f, again, "the fence is adopted")

		r.takeOver() // it comes back as a new session
		require.NoError(t, r.produce(ingest.AcksAll, part(0), "again").Err)
		assert.Equal(t, []string{"mine", "again"}, r.log(part(0)))
		r.kill()
	})
}

func TestAFenceUnderAPutInFlight(t *testing.T) { // S2, S6: what hangs may land above the fence, and is rubbish
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, Options{})
		old, _ := r.Session()
		r.store.Use(fault.Script(fault.Step{Op: trace.Put, Times: 1, Fault: fault.Fault{Kind: fault.LandsLater}}))
		req, _ := request(t, ingest.AcksAll, part(0), "hangs")
		require.NoError(t, r.Produce(t.Context(), req))
		synctest.Wait()
		f, err := Fence(t.Context(), FenceOptions{Store: r.bucket, Session: old})
		require.NoError(t, err)
		assert.EqualValues(t, 0, f.Slot)
		<-req.Done()
		assert.ErrorIs(t, req.Results[0].Err, ingest.ErrNotLeader)
		assert.ErrorIs(t, r.store.Land(t.Context(), catalog.WAL(old.ID, 0).Name()), cold.ErrExists)
		r.kill()
	})
}

func TestAForeignObjectStopsTheBroker(t *testing.T) { // S3, fault-matrix.md row 7
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, Options{})
		s, _ := r.Session()
		clone := object.NewEncoder(object.Header{Kind: object.WAL, Session: s.ID, Slot: 0, Nonce: s.Nonce}, 0, nil)
		_, err := clone.Finish()
		require.NoError(t, err)
		require.NoError(t, r.bucket.PutIfAbsent(t.Context(), catalog.WAL(s.ID, 0).Name(), cold.Bytes(clone.Segments()...)))
		res := r.produce(ingest.AcksAll, part(0), "x")
		assert.ErrorIs(t, res.Err, ingest.ErrNotLeader, "retriable: the client looks for another broker")
		assert.ErrorIs(t, <-r.ran, ingest.ErrForeign)
	})
}

func TestTwoThousandProducersShareFewPuts(t *testing.T) { // protocol.md 3.3
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 16, Options{})
		r.store.Use(fault.Always(fault.Fault{Before: 15 * time.Millisecond, After: 15 * time.Millisecond}))
		var wg sync.WaitGroup
		for i := range 2000 {
			wg.Go(func() {
				for k := range 3 {
					res := r.produce(ingest.AcksAll, part(int32(i%16)), fmt.Sprintf("%d/%d", i, k))
					assert.NoError(t, res.Err)
				}
			})
		}
		wg.Wait()
		seen := map[string]bool{}
		for p := range int32(16) {
			for _, v := range r.log(part(p)) {
				assert.False(t, seen[v])
				seen[v] = true
			}
		}
		assert.Len(t, seen, 6000)
		s, _ := r.Session()
		assert.Less(t, r.slots(s.ID), 40)
		r.kill()
	})
}

func TestAcksOneIsAnsweredByTheHotTier(t *testing.T) { // P2, U3
	synctest.Test(t, func(t *testing.T) {
		h := &tier{}
		r := newRig(t, 1, Options{Hot: h})
		r.store.Use(fault.Always(fault.Fault{Before: time.Second}, trace.Put))
		took := func(acks ingest.Acks) time.Duration {
			began := time.Now()
			require.NoError(t, r.produce(acks, part(0), "x").Err)
			return time.Since(began)
		}
		assert.Zero(t, took(ingest.AcksLeader))
		pr, _ := r.Progress(part(0))
		assert.Zero(t, pr.HighWatermark, "consumers do not see it before the bucket has it")
		assert.GreaterOrEqual(t, took(ingest.AcksAll), time.Second)
		synctest.Wait()
		s, _ := r.Session()
		assert.Equal(t, []hot.Session{{ID: s.ID, Nonce: s.Nonce}}, h.started)
		assert.Equal(t, []hot.Slot{{Session: s.ID, Seq: 0}, {Session: s.ID, Seq: 1}}, h.appended)
		assert.Equal(t, []hot.Slot{{Session: s.ID, Seq: 0}}, h.syncs, "only what somebody waits for is synced")

		time.Sleep(time.Minute)
		h.mu.Lock()
		h.failSync = hot.ErrUnavailable
		h.mu.Unlock()
		assert.Equal(t, time.Second, took(ingest.AcksLeader), "the bucket answers for it")
		h.mu.Lock()
		h.fail = hot.ErrFull
		h.mu.Unlock()
		assert.Equal(t, time.Second, took(ingest.AcksLeader))
		assert.Equal(t, time.Second, took(ingest.AcksAll))
		hang := make(chan struct{})
		h.mu.Lock()
		h.hang = hang
		h.mu.Unlock()
		for range 3 {
			assert.Equal(t, time.Second, took(ingest.AcksAll), "a disk that hangs holds nobody up")
		}
		close(hang)
		r.kill()
	})
}

func TestAHotTierThatIsTooSlowIsPassedBy(t *testing.T) { // U3, U4
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		h := &tier{hang: hang}
		r := newRig(t, 1, Options{Hot: h, HotBacklog: 1000})
		for range 50 {
			require.NoError(t, r.produce(ingest.AcksAll, part(0), string(make([]byte, 100))).Err)
		}
		require.NoError(t, r.call(t.Context(), func(time.Time) { assert.Less(t, len(r.flights), 10) }))
		close(hang)
		r.kill()
	})
}

func TestFramesAreReleasedWhenAllAreDone(t *testing.T) { // U1
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		h := &tier{hang: hang}
		kept := &keeper{}
		r := newRig(t, 2, Options{Hot: h, Tail: kept})
		r.store.Use(fault.Always(fault.Fault{Before: 50 * time.Millisecond}, trace.Put))
		var frames []*frame
		send := func(acks ingest.Acks, p record.Partition) {
			req, f := request(t, acks, p, "x")
			frames = append(frames, f)
			require.NoError(t, r.Produce(t.Context(), req))
		}
		for _, acks := range []ingest.Acks{ingest.AcksAll, ingest.AcksNone, ingest.AcksLeader} {
			for range 5 {
				send(acks, part(0))
				send(acks, part(1))
				send(acks, part(7)) // not led
			}
		}
		two, f := request(t, ingest.AcksAll, part(0), "one frame for two partitions")
		b, hd := batch(t, "two")
		two.Items = append(two.Items, ingest.Item{Partition: part(1), Batch: b, Header: hd})
		require.NoError(t, r.Produce(t.Context(), two))
		frames = append(frames, f)
		time.Sleep(time.Second)
		for i, f := range frames {
			if i%3 == 2 && i < 45 {
				assert.Zero(t, f.refs.Load())
			} else {
				assert.EqualValues(t, 2, f.refs.Load(), "the hot tier reads frame %d, and the tail keeps it", i)
			}
		}
		close(hang)
		synctest.Wait()
		assert.Len(t, h.appended, r.slots(r.session.ID))
		for _, f := range kept.frames {
			f.Release()
		}
		for i, f := range frames {
			assert.Zero(t, f.refs.Load(), "frame %d", i)
		}
		r.log(part(0)) // checks every byte

		// And when they are given up.
		frames, kept.frames = nil, nil
		r.store.Use(fault.Always(fault.Fault{Kind: fault.Hang}, trace.Put))
		for range 10 {
			send(ingest.AcksAll, part(0))
			time.Sleep(time.Second)
		}
		r.kill()
		for i, f := range frames {
			assert.Zero(t, f.refs.Load(), "frame %d", i)
		}
		late, f := request(t, ingest.AcksAll, part(0), "x")
		assert.ErrorIs(t, r.Produce(context.Background(), late), ErrClosed)
		assert.Zero(t, f.refs.Load())
	})
}

type keeper struct{ frames []Frame }

func (k *keeper) Add(_ record.Partition, batches []Batch) {
	for _, b := range batches {
		if b.Frame != nil && !slices.Contains(k.frames, b.Frame) {
			b.Frame.Retain()
			k.frames = append(k.frames, b.Frame)
		}
	}
}

func TestWatchesWakeWithoutMissingAnything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, Options{})
		var woken sync.WaitGroup
		for range 500 {
			w := r.Watch(part(0), part(1), part(9))
			woken.Go(func() {
				defer w.Close()
				for {
					if pr, _ := r.Progress(part(0)); pr.HighWatermark >= 3 {
						return
					}
					<-w.Ready()
				}
			})
		}
		for range 3 {
			require.NoError(t, r.produce(ingest.AcksAll, part(0), "x").Err)
		}
		woken.Wait()
		assert.Empty(t, r.board.find(part(0)).watches)
		w := r.Watch(part(1))
		s, _ := r.Session()
		require.NoError(t, r.Disown(t.Context(), s.ID, Ended{Partition: part(1), Epoch: Deleted}))
		<-w.Ready()
		_, ok := r.Progress(part(1))
		assert.False(t, ok)
		w.Close()
		r.kill()
	})
}

func TestDuplicatesAreAnsweredAfterARestart(t *testing.T) { // kafka.md 25, fault-matrix.md row 1
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, Options{})
		send := func(seq int32, value string) ingest.Result {
			b := record.Builder{HasProducer: true, Template: record.Header{ProducerID: 42, BaseSequence: seq}}
			b.Add(0, nil, []byte(value))
			bytes, err := b.Build()
			require.NoError(t, err)
			h, err := record.ParseHeader(bytes)
			require.NoError(t, err)
			require.EqualValues(t, seq, h.BaseSequence)
			req := &Request{Request: ingest.Request{Acks: ingest.AcksAll, Items: []ingest.Item{{Partition: part(0), Batch: bytes, Header: h}}}}
			require.NoError(t, r.Produce(t.Context(), req))
			<-req.Done()
			return req.Results[0]
		}
		for seq := range int32(4) {
			require.NoError(t, send(seq, fmt.Sprint(seq)).Err)
		}
		r.kill()
		r.boot()
		for seq := int32(3); seq >= 0; seq-- {
			res := send(seq, "again")
			require.NoError(t, res.Err)
			assert.EqualValues(t, seq, res.Base)
		}
		assert.ErrorIs(t, send(7, "gap").Err, ingest.ErrOutOfOrderSequence)
		require.NoError(t, send(4, "4").Err)
		assert.Equal(t, []string{"0", "1", "2", "3", "4"}, r.log(part(0)))
		known, err := r.Producers(t.Context(), part(0))
		require.NoError(t, err)
		require.Len(t, known, 1)
		assert.Len(t, known[0].Sent(), 5)
		r.kill()
	})
}
