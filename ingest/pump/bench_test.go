package pump

import (
	"context"
	"fmt"
	"io"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
)

// devnull takes puts, reads their bytes and forgets them, after some time.
type devnull struct {
	cold.Store
	took time.Duration
	puts atomic.Int64
}

func (d *devnull) PutIfAbsent(ctx context.Context, _ string, body cold.Body) error {
	d.puts.Add(1)
	r, err := body.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	time.Sleep(d.took)
	return nil
}

func (d *devnull) List(context.Context, string, string) iter.Seq2[cold.Info, error] { return nil }

// BenchmarkProduce is the whole write path but for socket and bucket: Produce, cut,
// encode, checksum, put, commit, publish, answer. Requests of one batch.
func BenchmarkProduce(b *testing.B) {
	for _, c := range []struct {
		clients, bytes int
		took           time.Duration
	}{
		{1, 1 << 10, 0},
		{200, 1 << 10, 5 * time.Millisecond}, // unbatched small produces
		{32, 64 << 10, 5 * time.Millisecond},
	} {
		b.Run(fmt.Sprintf("clients=%d/bytes=%d/put=%s", c.clients, c.bytes, c.took), func(b *testing.B) {
			r := newRig(b, 16, Options{Behind: 1 << 40})
			store := &devnull{Store: r.bucket, took: c.took}
			s, _ := r.Session()
			r.kill()
			r.opts.Settler = cold.NewSettler(store, cold.SettlerOptions{})
			r.Pump = New(r.opts)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			r.stop, r.ran = cancel, make(chan error, 1)
			go func() { r.ran <- r.Pump.Run(ctx) }()
			must := func(err error) {
				if err != nil {
					b.Fatal(err)
				}
			}
			must(r.Begin(ctx, s))
			for i := range int32(16) {
				must(r.Own(ctx, s.ID, Owned{part(i), ingest.Start{Epoch: 1}}))
			}
			builder := record.Builder{}
			builder.Add(0, nil, make([]byte, c.bytes))
			batch, err := builder.Build()
			must(err)
			h, err := record.ParseHeader(batch)
			must(err)
			b.SetBytes(int64(c.bytes))
			b.ReportAllocs()
			b.ResetTimer()
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			for i := range c.clients {
				wg.Go(func() {
					mine := append([]byte(nil), batch...)
					for left.Add(-1) >= 0 {
						q := &Request{Request: ingest.Request{Acks: ingest.AcksAll, Timeout: time.Minute, Items: make([]ingest.Item, 1)}}
						q.Items[0] = ingest.Item{Partition: part(int32(i % 16)), Batch: mine, Header: h}
						if r.Produce(ctx, q) != nil {
							return
						}
						<-q.Done()
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/float64(max(1, store.puts.Load())), "requests/put")
			r.kill()
		})
	}
}
