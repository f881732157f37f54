package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/open"
)

// idle measures the acknowledgement of one record at a time, and between them raw puts
// of as many bytes into a folder beside the bucket: a disk that is fast in one minute
// and slow in the next is so for both.
func (b *bench) idle(ctx context.Context) error {
	cl, err := b.client(kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	defer cl.Close()
	raw, _, err := open.Open(ctx, b.base+"/beside", open.Options{})
	if err != nil {
		return err
	}
	defer cold.Close(raw)
	var acks, puts []time.Duration
	for i := range 550 {
		value := b.values[i%len(b.values)]
		began := time.Now()
		if err := cl.ProduceSync(ctx, &kgo.Record{Value: value}).FirstErr(); err != nil {
			return err
		}
		acks = append(acks, time.Since(began))
		began = time.Now()
		if err := raw.PutIfAbsent(ctx, fmt.Sprintf("wal/%d", i), cold.Bytes(value)); err != nil {
			return err
		}
		puts = append(puts, time.Since(began))
	}
	acks, puts = acks[50:], puts[50:]
	b.produced += 550
	b.noteTimes("ack idle", acks)
	b.noteTimes("raw put of 1 KiB between them", puts)
	b.note("ack idle: of a raw put", float64(percentile(acks, 50))/float64(percentile(puts, 50)), "x")
	// What client, sockets and the broker's reading and writing take of it.
	var empty []time.Duration
	for range 500 {
		began := time.Now()
		if _, err := kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, cl); err != nil {
			return err
		}
		empty = append(empty, time.Since(began))
	}
	b.noteTimes("round trip of ApiVersions", empty[50:])
	return nil
}

// unbatched measures acknowledgements at 2,000 records a second, each a batch.
func (b *bench) unbatched(ctx context.Context) error {
	took, err := b.paced(ctx, 32, 2000, 5*time.Second)
	if err == nil {
		b.noteTimes("ack at 2,000 unbatched/s", took)
	}
	return err
}

// paced produces at a rate with many clients, each of which waits for its
// acknowledgement.
func (b *bench) paced(ctx context.Context, clients, rate int, during time.Duration) (took []time.Duration, err error) {
	type result struct {
		took []time.Duration
		err  error
	}
	each := rate * int(during/time.Second) / clients
	results := make(chan result, clients)
	for w := range clients {
		go func() {
			var r result
			defer func() { results <- r }()
			cl, err := b.client(kgo.ProducerLinger(0), kgo.MaxBufferedRecords(1))
			if err != nil {
				r.err = err
				return
			}
			defer cl.Close()
			tick := time.NewTicker(time.Second * time.Duration(clients) / time.Duration(rate))
			defer tick.Stop()
			for i := range each {
				<-tick.C
				began := time.Now()
				if r.err = cl.ProduceSync(ctx, &kgo.Record{Value: b.values[(i+w)%len(b.values)]}).FirstErr(); r.err != nil {
					return
				}
				r.took = append(r.took, time.Since(began))
			}
		}()
	}
	for range clients {
		r := <-results
		if r.err != nil {
			err = r.err
		}
		took = append(took, r.took...)
	}
	b.produced += len(took)
	return took, err
}

// produce measures batched records, as fast as they go.
func (b *bench) produce(ctx context.Context) error {
	n := b.mib * 1024
	cl, err := b.client(kgo.MaxBufferedRecords(100000), kgo.ProducerLinger(5*time.Millisecond))
	if err != nil {
		return err
	}
	defer cl.Close()
	err = b.measure("produce acks=all", func() (int64, error) {
		var first error
		for i := range n {
			cl.Produce(ctx, &kgo.Record{Value: b.values[i%len(b.values)]}, func(_ *kgo.Record, err error) {
				if err != nil && first == nil {
					first = err
				}
			})
		}
		if err := cl.Flush(ctx); err != nil {
			return 0, err
		}
		return int64(n) << 10, first
	})
	b.produced += n
	return err
}
