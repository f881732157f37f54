package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/localstack/proc"
)

// real is the measurement of real brokers on a file store.
type real struct {
	partitions, per, active int
	verbose                 bool

	dir, bin string
	log      io.Writer
	a, b     *proc.Broker
	client   *kgo.Client
	empty    memory // of a broker without partitions
}

func (r *real) run(ctx context.Context) (err error) {
	if r.dir, err = os.MkdirTemp("", "firn-scale-"); err != nil {
		return err
	}
	defer os.RemoveAll(r.dir)
	if r.verbose {
		r.log = os.Stderr
	}
	if r.bin, err = proc.Build(ctx, r.dir, "-trimpath"); err != nil {
		return err
	}
	defer func() {
		for _, b := range []*proc.Broker{r.a, r.b} {
			if b != nil {
				b.Kill()
			}
		}
		if r.client != nil {
			r.client.Close()
		}
	}()
	for _, step := range []func(context.Context) error{
		r.begin, r.create, r.describe, r.produce, r.again, r.restart, r.crash, r.groups, r.join, r.takeover,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// start starts a broker with a data folder of its own; addr is where it was before.
func (r *real) start(ctx context.Context, name, addr string) (*proc.Broker, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	return proc.Start(ctx, r.log, r.bin, "--store", "file://"+filepath.Join(r.dir, "bucket"), "--data-dir", filepath.Join(r.dir, name),
		"--listeners", addr, "--http", "127.0.0.1:0", "--offsets-topic-num-partitions", "10", "--seal-interval-ms", "10000")
}

func (r *real) begin(ctx context.Context) (err error) {
	if r.a, err = r.start(ctx, "a", ""); err != nil {
		return err
	}
	say("start of a broker on an empty bucket", "%s", ms(r.a.ReadyAfter))
	if r.empty, err = settled(r.a); err != nil {
		return err
	}
	say("memory of a broker without partitions", "%s", r.empty)
	r.client, err = kgo.NewClient(kgo.SeedBrokers(r.a.Kafka), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MaxBufferedRecords(200_000), kgo.ProducerLinger(50*time.Millisecond), kgo.MetadataMinAge(100*time.Millisecond), kgo.RecordDeliveryTimeout(4*time.Minute))
	return err
}

func (r *real) topics() int          { return (r.partitions + r.per - 1) / r.per }
func (r *real) topic(i int) string   { return fmt.Sprintf("t-%05d", i) }
func (r *real) each(n memory) string { return n.each(r.empty, r.partitions) }
func (r *real) seed() *kgo.Broker    { return r.client.SeedBrokers()[0] }
func took(f func() error) (time.Duration, error) {
	began := time.Now()
	err := f()
	return time.Since(began), err
}

// create creates all topics, ten thousand partitions in a request.
func (r *real) create(ctx context.Context) error {
	var slowest time.Duration
	all, err := took(func() error {
		for i := 0; i < r.topics(); {
			q := kmsg.NewPtrCreateTopicsRequest()
			q.TimeoutMillis = 120_000
			for n := 0; i < r.topics() && (n == 0 || n+r.per <= 10_000); i, n = i+1, n+r.per {
				t := kmsg.NewCreateTopicsRequestTopic()
				t.Topic, t.NumPartitions, t.ReplicationFactor = r.topic(i), int32(r.per), -1
				q.Topics = append(q.Topics, t)
			}
			d, err := took(func() error {
				resp, err := q.RequestWith(ctx, r.client)
				for _, t := range resp.Topics {
					err = errors.Join(err, kerr.ErrorForCode(t.ErrorCode))
				}
				return err
			})
			if err != nil {
				return err
			}
			slowest = max(slowest, d)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	say(fmt.Sprintf("create %d partitions, 10,000 in a request", r.partitions), "%s, the slowest request %s", ms(all), ms(slowest))
	m, err := settled(r.a)
	if err != nil {
		return err
	}
	say("memory, nothing written", "%s: %s", m, r.each(m))
	return nil
}

// describe asks for metadata: of everything, and of one topic.
func (r *real) describe(ctx context.Context) error {
	for _, c := range []struct {
		what string
		n    int
		one  bool
	}{{"metadata of all topics", 9, false}, {"metadata of one topic", 50, true}} {
		var ds []time.Duration
		size := 0
		for range c.n {
			q := kmsg.NewPtrMetadataRequest()
			if c.one {
				t := kmsg.NewMetadataRequestTopic()
				t.Topic = kmsg.StringPtr(r.topic(0))
				q.Topics = append(q.Topics, t)
			}
			d, err := took(func() error {
				resp, err := r.seed().Request(ctx, q)
				if err == nil {
					size = 0
					for _, t := range resp.(*kmsg.MetadataResponse).Topics {
						size += len(t.Partitions)
					}
				}
				return err
			})
			if err != nil {
				return fmt.Errorf("%s: %w", c.what, err)
			}
			ds = append(ds, d)
		}
		slices.Sort(ds)
		say(fmt.Sprintf("%s (%d partitions), p50 / worst", c.what, size), "%s / %s", ms(ds[len(ds)/2]), ms(ds[len(ds)-1]))
	}
	return nil
}

// write writes one record to each active partition and waits for all.
func (r *real) write(ctx context.Context) error {
	var failed atomic.Pointer[error]
	value := []byte(strings.Repeat("firn", 25))
	for i := range r.active {
		r.client.Produce(ctx, &kgo.Record{Topic: r.topic(i / r.per), Partition: int32(i % r.per), Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
	}
	if err := r.client.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (r *real) produce(ctx context.Context) error {
	cpu := cpuOf(r.a)
	d, err := took(func() error { return r.write(ctx) })
	if err != nil {
		return fmt.Errorf("produce: %w", err)
	}
	say(fmt.Sprintf("one record into each of %d partitions, acks=all, idempotent", r.active), "%s, broker CPU %s", ms(d), ms(cpuOf(r.a)-cpu))
	return nil
}

// again writes some more rounds, so that runs lie in many slots.
func (r *real) again(ctx context.Context) error {
	const rounds = 5
	cpu := cpuOf(r.a)
	d, err := took(func() error {
		for range rounds {
			if err := r.write(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("produce: %w", err)
	}
	say(fmt.Sprintf("the same %d times more, each", rounds), "%s, broker CPU %s", ms(d/rounds), ms((cpuOf(r.a)-cpu)/rounds))
	m, err := settled(r.a)
	if err != nil {
		return err
	}
	say("memory, all written to", "%s: %s", m, r.each(m))
	return nil
}

// works reports how long it takes until one partition of every topic takes a record.
func (r *real) works(ctx context.Context, addr string) (time.Duration, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(20*time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }))
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	return took(func() error {
		var rs []*kgo.Record
		for i := range r.topics() {
			rs = append(rs, &kgo.Record{Topic: r.topic(i), Partition: int32(i % r.per), Value: []byte("works")})
		}
		return cl.ProduceSync(ctx, rs...).FirstErr()
	})
}

func (r *real) restart(ctx context.Context) error {
	addr := r.a.Kafka
	d, err := took(func() error { return r.a.Stop(ctx) })
	if err != nil {
		return err
	}
	say("SIGTERM to exit", "%s", ms(d))
	return r.back(ctx, "restart", addr)
}

func (r *real) crash(ctx context.Context) error {
	if err := r.write(ctx); err != nil {
		return fmt.Errorf("produce before the crash: %w", err)
	}
	addr := r.a.Kafka
	r.a.Kill()
	return r.back(ctx, "start after SIGKILL under load", addr)
}

func (r *real) back(ctx context.Context, what, addr string) (err error) {
	if r.a, err = r.start(ctx, "a", addr); err != nil {
		return err
	}
	d, err := r.works(ctx, addr)
	if err != nil {
		return err
	}
	say(what+": until ready / until a record into each topic is in", "%s / %s", ms(r.a.ReadyAfter), ms(r.a.ReadyAfter+d))
	m, err := settled(r.a)
	if err != nil {
		return err
	}
	say("memory afterwards", "%s: %s", m, r.each(m))
	return nil
}

// join starts a second broker, which gets half.
func (r *real) join(ctx context.Context) (err error) {
	if r.b, err = r.start(ctx, "b", ""); err != nil {
		return err
	}
	say("start of a second broker", "%s", ms(r.b.ReadyAfter))
	d, err := took(func() error {
		return r.until(ctx, r.b, func(led map[int32]int) bool { return led[node(r.b)] >= r.partitions*2/5 })
	})
	if err != nil {
		return err
	}
	say("until it has an even share", "%s", ms(d))
	_, err = r.works(ctx, r.b.Kafka)
	return err
}

// takeover kills the first broker: the second one has all of it.
func (r *real) takeover(ctx context.Context) error {
	if err := r.write(ctx); err != nil {
		return fmt.Errorf("produce before the takeover: %w", err)
	}
	gone := node(r.a)
	began := time.Now()
	r.a.Kill()
	if err := r.until(ctx, r.b, func(led map[int32]int) bool { return led[gone]+led[-1] == 0 }); err != nil {
		return err
	}
	shown := time.Since(began)
	if _, err := r.works(ctx, r.b.Kafka); err != nil {
		return err
	}
	say("SIGKILL of a broker with half: until metadata shows its heir", "%s", ms(shown))
	say("until a record into each topic is in", "%s", ms(time.Since(began)))
	m, err := settled(r.b)
	if err != nil {
		return err
	}
	say("memory of the heir, with everything", "%s: %s", m, r.each(m))
	return nil
}

func node(b *proc.Broker) int32 {
	n, _ := strconv.Atoi(b.Node)
	return int32(n)
}

// until asks a broker who leads what until it is as wanted.
func (r *real) until(ctx context.Context, b *proc.Broker, done func(led map[int32]int) bool) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Kafka))
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	for {
		led := map[int32]int{}
		resp, err := cl.SeedBrokers()[0].Request(ctx, kmsg.NewPtrMetadataRequest())
		if err != nil {
			return err
		}
		for _, t := range resp.(*kmsg.MetadataResponse).Topics {
			for _, p := range t.Partitions {
				led[p.Leader]++
			}
		}
		if done(led) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("who leads what: %v: %w", led, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// memory is what a process has of it.
type memory struct{ anon, rss int64 }

func (m memory) String() string {
	return fmt.Sprintf("%.0f MB anonymous, %.0f MB resident", float64(m.anon)/1e6, float64(m.rss)/1e6)
}

// each is what one of n partitions has cost since.
func (m memory) each(before memory, n int) string {
	return fmt.Sprintf("%.2f KB of anonymous memory a partition", float64(m.anon-before.anon)/1e3/float64(n))
}

// settled is a broker's memory once it does not fall any more.
func settled(b *proc.Broker) (memory, error) {
	var last memory
	for i := 0; ; i++ {
		time.Sleep(2 * time.Second)
		m, err := memoryOf(b)
		if err != nil {
			return m, err
		}
		if i > 0 && (m.anon > last.anon-last.anon/50 || i == 10) {
			return m, nil
		}
		last = m
	}
}

func memoryOf(b *proc.Broker) (m memory, err error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.Pid()))
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		n, _ := strconv.ParseInt(f[1], 10, 64)
		switch f[0] {
		case "RssAnon:":
			m.anon = n << 10
		case "VmRSS:":
			m.rss = n << 10
		}
	}
	return m, nil
}

// cpuOf is the CPU time that a broker has used.
func cpuOf(b *proc.Broker) time.Duration {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", b.Pid()))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
}
