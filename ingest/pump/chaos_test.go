package pump

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold/fault"
)

// TestNothingAcknowledgedIsLost lets idempotent producers loose on brokers that
// are killed, fenced while they live, rotated and indexed, over a bucket with
// every fault that a sound store may have, for ten virtual minutes a seed. At the
// end the log is read from the bucket: every acknowledged record is at its offset,
// no record is there twice, and offsets are dense. SEEDS=n runs more.
func TestNothingAcknowledgedIsLost(t *testing.T) { // P1, P3, fault-matrix.md rows 1, 5, 6, 12-16, 24
	seeds := 6
	if testing.Short() {
		seeds = 2
	}
	if n, err := strconv.Atoi(os.Getenv("SEEDS")); err == nil {
		seeds = n
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { chaos(t, seed) })
		})
	}
}

type acknowledged struct {
	mu    sync.Mutex
	at    map[string]int64 // partition/value → offset
	sent  map[string]bool
	tries int
}

func chaos(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	h := &tier{}
	r := newRig(t, 3, Options{Hot: h, Ingest: ingest.Config{Max: 20 << 10, Large: 4 << 10, Pending: 100 << 10}, Behind: 20})
	odds := fault.Odds{
		Kinds: map[fault.Kind]float64{
			fault.RequestLost: 0.03, fault.AnswerLost: 0.03, fault.LandsLater: 0.03, fault.Conflict: 0.03,
			fault.Unavailable: 0.03, fault.Denied: 0.02, fault.Hang: 0.005, fault.Truncated: 0.02, fault.Corrupt: 0.02,
			fault.Stale: 0.05, fault.Missing: 0.3, fault.Unordered: 0.3,
		},
		Slow: 0.3, Delay: 200 * time.Millisecond, Landing: 3 * time.Minute,
	}
	r.store.Use(fault.Seeded(seed, odds))
	acked := &acknowledged{at: map[string]int64{}, sent: map[string]bool{}}
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for id := range 6 {
		clients.Go(func() { chaosClient(t, r, int64(id), acked, stop, rand.New(rand.NewPCG(seed, uint64(id)+2))) })
	}
	for range 12 {
		time.Sleep(time.Duration(rng.IntN(60_000)) * time.Millisecond)
		switch rng.IntN(6) {
		case 0: // SIGKILL, and somebody else takes over
			r.kill()
			r.boot()
		case 1: // somebody is hasty: fences us while we live
			s, ok := r.Session()
			if !ok {
				break
			}
			c, _ := r.catalog.State().Session(s.ID)
			f, err := Fence(context.Background(), FenceOptions{
				Store: r.store, Session: s, From: c.Covered, Nonce: [16]byte{99},
			})
			require.NoError(t, err)
			res, _ := r.catalog.Commit(context.Background(), &catalog.SealSession{Session: s.ID, Covered: c.Covered, Fence: f.Slot, Extents: f.Extents(s.ID)})
			if res[0].Err != nil {
				assert.ErrorIs(t, res[0].Err, catalog.ErrStale, "S7") // the mark moved: walk again some time
			}
			for tries := 0; ; tries++ { // a broker with nothing to write does not notice
				if _, ok := r.Session(); !ok || tries > 600 {
					break
				}
				time.Sleep(time.Second)
			}
			if _, ok := r.Session(); !ok {
				r.takeOver()
			} else {
				r.kill()
				r.boot()
			}
		case 2:
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			_ = r.Rotate(ctx, catalog.RegisterSession{Nonce: [16]byte{byte(rng.IntN(200)), 1}})
			cancel()
			if _, ok := r.Session(); !ok {
				r.takeOver()
			}
		case 3:
			_ = r.Index(context.Background())
		case 4: // the bucket is away for a while
			r.store.Use(fault.Always(fault.Fault{Kind: fault.Unavailable}))
			time.Sleep(time.Duration(rng.IntN(90_000)) * time.Millisecond)
			r.store.Use(fault.Seeded(seed+uint64(rng.IntN(1000)), odds))
		case 5: // the hot tier comes and goes
			h.mu.Lock()
			if h.fail = nil; rng.IntN(2) == 0 {
				h.fail = context.DeadlineExceeded
			}
			h.mu.Unlock()
		}
	}
	close(stop)
	r.store.Use(fault.Healthy)
	clients.Wait()
	time.Sleep(odds.Landing) // what is late has landed, wherever that is
	r.kill()                 // all brokers at once: the bucket alone must do
	r.boot()
	require.Empty(t, r.catalog.State().Check())
	found := 0
	for p := range int32(3) {
		seen := map[string]bool{}
		for offset, v := range r.log(part(p)) {
			name := fmt.Sprint(p, "/", v)
			assert.False(t, seen[name], "%s is there twice", name)
			seen[name] = true
			assert.True(t, acked.sent[name], "%s was never sent", name)
			if at, ok := acked.at[name]; ok {
				found++
				assert.EqualValues(t, at, offset, "%s was acknowledged elsewhere", name)
			}
		}
	}
	assert.Equal(t, len(acked.at), found, "acknowledged records are lost")
	t.Logf("seed %d: %d records acknowledged in %d tries, %d sessions", seed, found, acked.tries, len(r.catalog.State().Sessions()))
	r.kill()
	synctest.Wait()
}

// chaosClient is an idempotent producer with one batch in flight: it sends a batch
// until it is answered for good. When its producer state is gone it takes a new id,
// as clients do.
func chaosClient(t *testing.T, r *rig, id int64, acked *acknowledged, stop chan struct{}, rng *rand.Rand) {
	p := part(int32(id % 3))
	for seq := int32(0); ; seq++ {
		value := fmt.Sprintf("%d/%d", id, seq)
		name := fmt.Sprint(p.Index, "/", value)
		acked.mu.Lock()
		acked.sent[name] = true
		acked.mu.Unlock()
		for {
			select {
			case <-stop:
				return
			default:
			}
			b := record.Builder{HasProducer: true, Template: record.Header{ProducerID: id, BaseSequence: seq}}
			b.Add(0, nil, []byte(value))
			bytes, err := b.Build()
			require.NoError(t, err)
			h, err := record.ParseHeader(bytes)
			require.NoError(t, err)
			f := &frame{bytes: bytes}
			f.Retain()
			acks := ingest.AcksAll
			if rng.IntN(10) == 0 {
				acks = ingest.AcksLeader
			}
			req := &Request{Frame: f, Request: ingest.Request{Acks: acks, Timeout: 30 * time.Second, Items: []ingest.Item{{Partition: p, Batch: bytes, Header: h}}}}
			err = r.live.Load().Produce(context.Background(), req)
			if err == nil {
				<-req.Done()
				err = req.Results[0].Err
			}
			acked.mu.Lock()
			acked.tries++
			if err == nil && acks == ingest.AcksAll {
				acked.at[name] = req.Results[0].Base
			}
			acked.mu.Unlock()
			if err == nil && acks == ingest.AcksAll {
				break // a weaker one is sent again, to be sure
			}
			time.Sleep(time.Duration(100+rng.IntN(2000)) * time.Millisecond)
		}
		time.Sleep(time.Duration(rng.IntN(2000)) * time.Millisecond)
	}
}
