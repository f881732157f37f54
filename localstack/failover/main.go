// Command failover measures what clients notice when one of three brokers goes: the
// longest time without any acknowledgement, and the slowest record of all partitions,
// as a franz-go client sees them that tries again after 20 ms.
//
//	go run ./localstack/failover -trials 20 -partitions 10,1000 -how KILL,TERM,CUT
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnlog/firn/localstack"
	"github.com/firnlog/firn/localstack/cluster"
	"github.com/firnlog/firn/localstack/faultproxy"
	"github.com/firnlog/firn/localstack/proc"
)

type options struct {
	trials     int
	partitions []int
	how        []string
	store      string
	putDelay   time.Duration
	bin        string
	log        string
	clientLog  string
}

func main() {
	var o options
	partitions := flag.String("partitions", "10,1000", "how many partitions, one measurement each")
	how := flag.String("how", "KILL,TERM,CUT", "SIGKILL, SIGTERM, or the link down (needs root)")
	flag.IntVar(&o.trials, "trials", 20, "trials of each")
	flag.StringVar(&o.store, "store", "minio", "minio, versitygw or file")
	flag.DurationVar(&o.putDelay, "put-delay", 0, "what each put takes longer; not with -store file")
	flag.StringVar(&o.bin, "bin", "", "the program, when it is built already")
	flag.StringVar(&o.log, "log", "", "file for what brokers log")
	flag.StringVar(&o.clientLog, "client-log", "", "file for all that the client says of itself")
	flag.Parse()
	for p := range strings.SplitSeq(*partitions, ",") {
		n, err := strconv.Atoi(p)
		if err != nil || n < 1 {
			fmt.Fprintf(os.Stderr, "failover: -partitions %q: want numbers, as in 10,1000\n", *partitions)
			os.Exit(2)
		}
		o.partitions = append(o.partitions, n)
	}
	o.how = strings.Split(*how, ",")
	if err := run(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, "failover:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp("", "firn-failover-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bin := o.bin
	if bin == "" {
		if bin, err = proc.Build(ctx, dir, "-trimpath"); err != nil {
			return err
		}
	}
	network, err := cluster.NewNetwork()
	switch {
	case err == nil:
		defer network.Close()
	case slices.Contains(o.how, "CUT"):
		return err
	}
	base := "file://" + dir + "/bucket"
	if o.store != "file" {
		kind, ok := localstack.ByName(o.store)
		if !ok {
			return fmt.Errorf("-store %q: want minio, versitygw or file", o.store)
		}
		for _, kv := range localstack.Env() {
			name, value, _ := strings.Cut(kv, "=")
			os.Setenv(name, value)
		}
		host := "127.0.0.1"
		if network != nil {
			host = network.Host()
		}
		s, err := faultproxy.StartSlow(ctx, kind, host, o.putDelay)
		if err != nil {
			return err
		}
		defer s.Close()
		base = s.URL()
	}
	var log *os.File
	if o.log != "" {
		if log, err = os.Create(o.log); err != nil {
			return err
		}
		defer log.Close()
	}
	for _, partitions := range o.partitions {
		co := cluster.Options{Bin: bin, Store: fmt.Sprintf("%s/%d", base, partitions), Brokers: 3, Network: network}
		if log != nil {
			co.Log = log
		}
		c, err := cluster.Start(ctx, co)
		if err != nil {
			return err
		}
		err = measure(ctx, o, c, partitions)
		if err := errors.Join(err, c.Close()); err != nil {
			return err
		}
	}
	return nil
}

// measure makes all trials on one cluster.
func measure(ctx context.Context, o options, c *cluster.Cluster, partitions int) error {
	var told []kgo.Opt
	if o.clientLog != "" {
		f, err := os.Create(o.clientLog)
		if err != nil {
			return err
		}
		defer f.Close()
		told = append(told, kgo.WithLogger(kgo.BasicLogger(f, kgo.LogLevelDebug, func() string { return time.Now().UTC().Format("15:04:05.000 ") })))
	}
	l, err := newLoad(ctx, c.Addrs(), partitions, told...)
	if err != nil {
		return err
	}
	lctx, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); l.run(lctx) }()
	defer func() { stop(); <-ended; l.cl.Close() }()
	for _, how := range o.how {
		var over, worst []time.Duration
		for i := range o.trials {
			b := c.Brokers[i%len(c.Brokers)]
			if err := l.balanced(ctx, b.Node); err != nil {
				return err
			}
			began := l.begin()
			if err := end(ctx, how, b); err != nil {
				return err
			}
			l.settle(began)
			gap, slow := l.end()
			over, worst = append(over, gap), append(worst, slow)
			if os.Getenv("FAILOVER_VERBOSE") != "" {
				fmt.Printf("  trial %d at %d: %v, %v\n", i, began.UnixMilli(), ms(gap), ms(slow))
			}
			if err := back(ctx, how, b); err != nil {
				return err
			}
		}
		fmt.Printf("%-4s %6d partitions  %d trials   over all: median %v, worst %v   slowest record: median %v, worst %v   client errors %v\n",
			how, partitions, o.trials, ms(median(over)), ms(slices.Max(over)), ms(median(worst)), ms(slices.Max(worst)), l.failed())
	}
	return nil
}

func ms(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}

func end(ctx context.Context, how string, b *cluster.Broker) error {
	switch how {
	case "KILL":
		b.Kill()
		return nil
	case "TERM":
		return b.Stop(ctx)
	case "CUT":
		return b.Cut()
	}
	return fmt.Errorf("-how %q: want KILL, TERM or CUT", how)
}

func back(ctx context.Context, how string, b *cluster.Broker) error {
	if how == "CUT" {
		return b.Mend()
	}
	return b.Start(ctx)
}

// load produces to all partitions in turn and remembers when what was acknowledged.
type load struct {
	cl         *kgo.Client
	partitions int

	mu     sync.Mutex
	last   time.Time     // acknowledgement
	gap    time.Duration // longest since begin
	slow   time.Duration // record since begin
	errs   int
	first  error               // of them
	flight map[int64]time.Time // records without acknowledgement, by number
}

// rate is records a second: enough to see gaps of milliseconds, few enough that
// nothing is busy.
const rate = 1000

// dialing is how long the client waits for a connection. When a link is down it dials into
// it for each request that it had there, one after the other, and what it asks for meanwhile
// about leaders may stand behind them: 16 dials in the worst trial of 140, which is the
// client's time and not the cluster's.
const dialing = 50 * time.Millisecond

const topic = "failover"

func newLoad(ctx context.Context, addrs []string, partitions int, told ...kgo.Opt) (*load, error) {
	cl, err := kgo.NewClient(append(told,
		kgo.SeedBrokers(addrs...), kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }), kgo.MetadataMinAge(20*time.Millisecond),
		kgo.ProduceRequestTimeout(time.Second), kgo.RequestTimeoutOverhead(500*time.Millisecond), kgo.DialTimeout(dialing),
		kgo.RequestRetries(10000), kgo.RecordRetries(10000),
	)...)
	if err != nil {
		return nil, err
	}
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, int32(partitions), 1, nil, topic); err != nil {
		cl.Close()
		return nil, err
	}
	return &load{cl: cl, partitions: partitions, flight: map[int64]time.Time{}}, nil
}

func (l *load) run(ctx context.Context) {
	tick := time.NewTicker(time.Second / rate)
	defer tick.Stop()
	for n := int64(0); ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		began := time.Now()
		l.mu.Lock()
		l.flight[n] = began
		l.mu.Unlock()
		l.cl.TryProduce(context.WithoutCancel(ctx), &kgo.Record{Partition: int32(n % int64(l.partitions)), Value: []byte("failover")}, func(_ *kgo.Record, err error) {
			now := time.Now()
			l.mu.Lock()
			defer l.mu.Unlock()
			delete(l.flight, n)
			if err != nil {
				if l.errs++; l.first == nil {
					l.first = err
				}
				return
			}
			l.gap = max(l.gap, now.Sub(l.last))
			l.slow = max(l.slow, now.Sub(began))
			l.last = now
		})
	}
}

// begin forgets what was measured before.
func (l *load) begin() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gap, l.slow = 0, 0
	return time.Now()
}

// settle returns when a broker's end has had its time to be noticed, and nothing waits
// for an acknowledgement any more than it does in peace; after a minute anyhow.
func (l *load) settle(began time.Time) {
	const noticed, peace = 3 * time.Second, 100 * time.Millisecond // a cut link is noticed in two
	for time.Since(began) < noticed || l.oldest() > peace && time.Since(began) < time.Minute {
		time.Sleep(10 * time.Millisecond)
	}
}

// oldest is how long the record has waited that waits longest.
func (l *load) oldest() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	var d time.Duration
	for _, at := range l.flight {
		d = max(d, time.Since(at))
	}
	return d
}

// end is what was measured since begin. Records that still wait count as long as they
// have waited.
func (l *load) end() (gap, slow time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	gap, slow = max(l.gap, now.Sub(l.last)), l.slow
	for _, at := range l.flight {
		slow = max(slow, now.Sub(at))
	}
	return gap, slow
}

func (l *load) failed() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == nil {
		return "0"
	}
	return fmt.Sprintf("%d, the first: %v", l.errs, l.first)
}

// balanced waits until the broker leads its share, and for a moment of quiet.
func (l *load) balanced(ctx context.Context, node string) error {
	id, err := strconv.Atoi(node)
	if err != nil {
		return fmt.Errorf("node %q: %w", node, err)
	}
	adm := kadm.NewClient(l.cl)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		m, err := adm.Metadata(ctx, topic)
		led := 0
		for _, p := range m.Topics[topic].Partitions {
			if p.Leader == int32(id) {
				led++
			}
		}
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("node %d leads %d of %d partitions: %w", id, led, l.partitions, ctx.Err())
		case err == nil && len(m.Brokers) == 3 && led >= l.partitions/4:
			time.Sleep(2 * time.Second)
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
}
