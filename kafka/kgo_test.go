package kafka

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// dialer makes kgo dial pipes.
func (p *pipes) dialer() kgo.Opt {
	return kgo.Dialer(func(context.Context, string, string) (net.Conn, error) { return p.dial(), nil })
}

func TestFranzGoProducesAndConsumes(t *testing.T) {
	for _, codec := range []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()} {
		f := newFake()
		p := serve(t, f, Limits{})
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		cl, err := kgo.NewClient(kgo.SeedBrokers("firn:9092"), p.dialer(), kgo.DisableIdempotentWrite(), kgo.AllowAutoTopicCreation(),
			kgo.ProducerBatchCompression(codec), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		const n = 1000
		for i := range n {
			cl.Produce(ctx, &kgo.Record{Topic: "t", Value: fmt.Appendf(nil, "record %d", i)}, func(_ *kgo.Record, err error) {
				if err != nil {
					t.Error(err)
				}
			})
		}
		if err := cl.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		for got := 0; got < n; {
			fs := cl.PollFetches(ctx)
			if err := fs.Err(); err != nil {
				t.Fatal(err)
			}
			fs.EachRecord(func(r *kgo.Record) {
				if want := fmt.Sprintf("record %d", got); string(r.Value) != want || r.Offset != int64(got) {
					t.Fatalf("offset %d: %q, want %q at %d", r.Offset, r.Value, want, got)
				}
				got++
			})
		}
	}
}
