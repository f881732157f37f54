package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func (b *bench) read(ctx context.Context) error { return b.consume(ctx, "read from the start") }

// readCold reads with an empty hot tier.
func (b *bench) readCold(ctx context.Context) error {
	if err := b.wipe(ctx); err != nil {
		return err
	}
	return b.consume(ctx, "read from the bucket")
}

// wipe kills the broker, removes its disk and starts it again.
func (b *bench) wipe(ctx context.Context) error {
	b.stop()
	if err := os.RemoveAll(filepath.Join(b.dir, "data")); err != nil {
		return err
	}
	return b.start(ctx)
}

func (b *bench) consume(ctx context.Context, what string) error {
	return b.measure(what, func() (int64, error) { return b.scan(ctx, b.produced, 0) })
}

// scan reads n records from the start, at a rate in bytes a second when one is given.
func (b *bench) scan(ctx context.Context, n int, rate float64) (size int64, err error) {
	cl, err := b.client(kgo.ConsumeTopics(b.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	began := time.Now()
	for n > 0 {
		fs := cl.PollFetches(ctx)
		if errs := fs.Errors(); len(errs) > 0 {
			return size, errs[0].Err
		}
		fs.EachRecord(func(r *kgo.Record) {
			n--
			size += int64(len(r.Value))
		})
		if rate > 0 {
			time.Sleep(time.Duration(float64(size)/rate*1e9) - time.Since(began))
		}
	}
	return size, nil
}

// Readers of history, beside which producers are measured.
const (
	besideReaders = 3
	besideRate    = 40 << 20 // bytes a second, each
	besideFor     = 5 * time.Second
)

// beside measures acknowledgements alone, and with readers of history that nothing
// but the bucket can serve.
func (b *bench) beside(ctx context.Context) error {
	const clients, rate = 8, 400
	if err := b.wipe(ctx); err != nil {
		return err
	}
	alone, err := b.paced(ctx, clients, rate, besideFor)
	if err != nil {
		return err
	}
	b.noteTimes("ack at 400/s", alone)
	if err := b.wipe(ctx); err != nil {
		return err
	}
	reading, stop := context.WithCancel(ctx)
	var readers sync.WaitGroup
	var mu sync.Mutex
	var read int64
	var failed error
	history := b.produced
	began := time.Now()
	for range besideReaders {
		readers.Go(func() {
			for reading.Err() == nil { // history may be shorter than the measurement
				n, err := b.scan(reading, history, besideRate)
				mu.Lock()
				read += n
				if err != nil && !errors.Is(err, context.Canceled) {
					failed = err
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	took, err := b.paced(ctx, clients, rate, besideFor)
	stop()
	readers.Wait()
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	b.noteTimes("ack at 400/s beside three cold readers", took)
	b.note("what they read", float64(read)/(1<<20)/time.Since(began).Seconds(), "MiB/s")
	return nil
}
