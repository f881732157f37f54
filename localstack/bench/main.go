// Command bench measures Firn beside its raw store, in one run: what a put and a
// get cost there, then a real broker process through franz-go. Ratios count;
// absolute figures are the machine's.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnlog/firn/localstack/proc"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/file"
)

func main() {
	mib := flag.Int("mib", 1024, "how many MiB to produce")
	flag.Parse()
	if err := run(context.Background(), *mib); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, mib int) error {
	dir, err := os.MkdirTemp("", "firn-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	rawPut, err := raw(ctx, filepath.Join(dir, "raw"))
	if err != nil {
		return fmt.Errorf("raw store: %w", err)
	}
	bin, err := proc.Build(ctx, dir, "-trimpath")
	if err != nil {
		return err
	}
	values, err := text()
	if err != nil {
		return err
	}
	b := &bench{dir: dir, bin: bin, values: values, mib: mib, rawPut: rawPut}
	defer b.stop()
	for _, step := range []func(context.Context) error{b.start, b.idle, b.unbatched, b.produce, b.read, b.readCold} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// raw measures puts and gets of the file store by themselves. It returns the median
// put of a small object.
func raw(ctx context.Context, dir string) (time.Duration, error) {
	s, err := file.Open(dir)
	if err != nil {
		return 0, err
	}
	var small time.Duration
	for _, c := range []struct {
		size, n int
	}{{1 << 10, 300}, {64 << 10, 200}, {1 << 20, 60}, {8 << 20, 12}} {
		data := bytes.Repeat([]byte("firn"), c.size/4)
		var puts, gets []time.Duration
		for i := range c.n {
			name := fmt.Sprintf("raw/%d-%d", c.size, i)
			began := time.Now()
			if err := s.PutIfAbsent(ctx, name, cold.Bytes(data)); err != nil {
				return 0, err
			}
			puts = append(puts, time.Since(began))
			began = time.Now()
			if _, err := s.Get(ctx, name, cold.Whole, nil); err != nil {
				return 0, err
			}
			gets = append(gets, time.Since(began))
		}
		fmt.Printf("raw store   %8d B   put p50 %v p99 %v   get p50 %v p99 %v\n", c.size, at(puts, 50), at(puts, 99), at(gets, 50), at(gets, 99))
		if small == 0 {
			small = at(puts, 50)
		}
	}
	return small, nil
}

// text cuts Go's own source tree into values of 1 KiB.
func text() ([][]byte, error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOROOT: %w", err)
	}
	var all []byte
	err = filepath.WalkDir(filepath.Join(strings.TrimSpace(string(out)), "src"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || len(all) > 32<<20 {
			return err
		}
		b, err := os.ReadFile(path)
		all = append(all, b...)
		return err
	})
	var values [][]byte
	for len(all) >= 1024 {
		values = append(values, all[:1024])
		all = all[1024:]
	}
	return values, err
}

type bench struct {
	dir, bin string
	values   [][]byte
	mib      int
	rawPut   time.Duration
	broker   *proc.Broker
	produced int
}

const topic = "bench"

func (b *bench) start(ctx context.Context) error {
	args := []string{"--store", "file://" + filepath.Join(b.dir, "bucket"), "--data-dir", filepath.Join(b.dir, "data"), "--listeners", "127.0.0.1:0", "--http", "127.0.0.1:0"}
	br, err := proc.Start(ctx, nil, b.bin, args...)
	if err != nil {
		return err
	}
	b.broker = br
	if b.produced > 0 {
		return nil
	}
	cl, err := b.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	_, err = kadm.NewClient(cl).CreateTopic(ctx, 16, 1, nil, topic)
	return err
}

func (b *bench) stop() {
	if b.broker != nil {
		b.broker.Kill()
	}
}

func (b *bench) client(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(b.broker.Kafka), kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.NoCompression())}, opts...)...)
}

// idle measures the acknowledgement of one record at a time.
func (b *bench) idle(ctx context.Context) error {
	cl, err := b.client(kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	defer cl.Close()
	var took []time.Duration
	for i := range 500 {
		began := time.Now()
		if err := cl.ProduceSync(ctx, &kgo.Record{Value: b.values[i%len(b.values)]}).FirstErr(); err != nil {
			return err
		}
		took = append(took, time.Since(began))
		b.produced++
	}
	took = took[50:]
	fmt.Printf("ack idle                    p50 %v p99 %v   %.2f x a raw put\n", at(took, 50), at(took, 99), float64(at(took, 50))/float64(b.rawPut))
	return nil
}

// unbatched measures acknowledgements at 2,000 records a second, each a batch.
func (b *bench) unbatched(ctx context.Context) error {
	const workers, rate, seconds = 32, 2000, 5
	type result struct {
		took []time.Duration
		err  error
	}
	results := make(chan result, workers)
	for w := range workers {
		go func() {
			var r result
			defer func() { results <- r }()
			cl, err := b.client(kgo.ProducerLinger(0), kgo.MaxBufferedRecords(1))
			if err != nil {
				r.err = err
				return
			}
			defer cl.Close()
			tick := time.NewTicker(time.Second * workers / rate)
			defer tick.Stop()
			for i := range rate * seconds / workers {
				<-tick.C
				began := time.Now()
				if r.err = cl.ProduceSync(ctx, &kgo.Record{Value: b.values[(i+w)%len(b.values)]}).FirstErr(); r.err != nil {
					return
				}
				r.took = append(r.took, time.Since(began))
			}
		}()
	}
	var took []time.Duration
	for range workers {
		r := <-results
		if r.err != nil {
			return r.err
		}
		took = append(took, r.took...)
	}
	b.produced += len(took)
	fmt.Printf("ack at %d/s unbatched     p50 %v p99 %v\n", rate, at(took, 50), at(took, 99))
	return nil
}

// usage is the CPU that Firn and this client have used.
func (b *bench) usage() (firn, client float64) {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", b.broker.Pid()))
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(f) > 12 {
		u, _ := strconv.ParseFloat(f[11], 64)
		s, _ := strconv.ParseFloat(f[12], 64)
		firn = (u + s) / 100
	}
	var ru syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &ru)
	return firn, time.Duration(ru.Utime.Nano() + ru.Stime.Nano()).Seconds()
}

// measure prints what do cost per GiB.
func (b *bench) measure(what string, bytes func() int64, do func() error) error {
	f0, c0 := b.usage()
	began := time.Now()
	if err := do(); err != nil {
		return err
	}
	took := time.Since(began)
	f1, c1 := b.usage()
	gib := float64(bytes()) / (1 << 30)
	fmt.Printf("%-22s %7.0f MiB/s   CPU s/GiB: Firn %.2f, client %.2f   memory: %s\n", what, gib*1024/took.Seconds(), (f1-f0)/gib, (c1-c0)/gib, b.memory())
	return nil
}

func (b *bench) memory() string {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.broker.Pid()))
	var out []string
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "RssAnon:") || strings.HasPrefix(line, "VmHWM:") {
			out = append(out, strings.Join(strings.Fields(line), " "))
		}
	}
	return strings.Join(out, ", ")
}

func (b *bench) produce(ctx context.Context) error {
	n := b.mib * 1024
	cl, err := b.client(kgo.MaxBufferedRecords(100000), kgo.ProducerLinger(5*time.Millisecond))
	if err != nil {
		return err
	}
	defer cl.Close()
	err = b.measure("produce acks=all", func() int64 { return int64(n) << 10 }, func() error {
		var first error
		for i := range n {
			cl.Produce(ctx, &kgo.Record{Value: b.values[i%len(b.values)]}, func(_ *kgo.Record, err error) {
				if err != nil && first == nil {
					first = err
				}
			})
		}
		if err := cl.Flush(ctx); err != nil {
			return err
		}
		return first
	})
	b.produced += n
	return err
}

func (b *bench) read(ctx context.Context) error { return b.consume(ctx, "read from the start") }

func (b *bench) readCold(ctx context.Context) error {
	b.broker.Kill()
	if err := os.RemoveAll(filepath.Join(b.dir, "data")); err != nil {
		return err
	}
	if err := b.start(ctx); err != nil {
		return err
	}
	return b.consume(ctx, "read from the bucket")
}

func (b *bench) consume(ctx context.Context, what string) error {
	cl, err := b.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer cl.Close()
	var size int64
	return b.measure(what, func() int64 { return size }, func() error {
		for n := 0; n < b.produced; {
			fs := cl.PollFetches(ctx)
			if errs := fs.Errors(); len(errs) > 0 {
				return errs[0].Err
			}
			fs.EachRecord(func(r *kgo.Record) {
				n++
				size += int64(len(r.Value))
			})
		}
		return nil
	})
}

// at is a percentile.
func at(d []time.Duration, p int) time.Duration {
	d = slices.Clone(d)
	slices.Sort(d)
	return d[min(len(d)-1, len(d)*p/100)].Round(10 * time.Microsecond)
}
