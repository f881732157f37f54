package bubble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnlog/firn/broker"
	"github.com/firnlog/firn/broker/settings"
	"github.com/firnlog/firn/tier/cold/fault"
	"github.com/firnlog/firn/tier/cold/mem"
	"github.com/firnlog/firn/tier/cold/open"
)

// How long packets and requests to the bucket take.
const (
	ping    = 200 * time.Microsecond
	storing = 5 * time.Millisecond
)

// cluster is brokers on one bucket, in a bubble.
type cluster struct {
	t       *testing.T
	net     *Network
	bucket  *mem.Store
	store   *fault.Store // everybody's way to the bucket
	set     map[string]string
	brokers []*node
	clients atomic.Int64
	halt    []func() // what still has to end
	log     logs
}

// inBubble runs a test with so many brokers, each with a disk of its own.
func inBubble(t *testing.T, brokers int, set map[string]string, test func(t *testing.T, c *cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{t: t, net: NewNetwork(ping), bucket: mem.New(), set: set}
		c.store = fault.Wrap(c.bucket, usual)
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("what the brokers logged:\n%s", c.log.String())
			}
		})
		for range brokers {
			c.add().start()
		}
		defer c.end()
		test(t, c)
	})
}

// usual is a bucket that works, in its time.
func usual(fault.Call) fault.Fault { return fault.Fault{Before: storing / 2, After: storing / 2} }

// ended is how long memberlist's probe may go on that was under way at the end. It
// cannot be waited for otherwise.
const ended = 10 * time.Second

// end stops what still runs.
func (c *cluster) end() {
	for _, stop := range c.halt {
		stop()
	}
	c.store.Use(usual)
	c.net.Mend()
	for _, n := range c.brokers {
		if n.cancel != nil {
			n.proc.Resume()
			n.stop()
		}
	}
	c.store.Wait()
	time.Sleep(ended)
}

// node is one broker: a host, a disk, and the life that it has.
type node struct {
	c     *cluster
	host  string
	dir   string
	set   map[string]string // over the cluster's
	store *fault.Store      // its own way to the bucket
	ahead atomic.Int64      // how far its clock is, as a time.Duration

	proc   *Process
	at     broker.Addresses
	cancel context.CancelFunc // nil: it does not run
	ended  chan error
}

// add makes a broker that does not run yet.
func (c *cluster) add() *node {
	n := &node{c: c, host: fmt.Sprintf("10.0.0.%d", len(c.brokers)+1), dir: c.disk(), store: fault.Wrap(c.store, fault.Healthy), set: map[string]string{}}
	c.brokers = append(c.brokers, n)
	return n
}

// launch starts the broker.
func (n *node) launch() (ready chan broker.Addresses) {
	n.c.t.Helper()
	all := map[string]string{
		"store": "mem://", "listeners": n.host + ":9092", "http": n.host + ":8080", "gossip": n.host + ":7946", "data.dir": n.dir,
		"offsets.topic.num.partitions": "4", "group.initial.rebalance.delay.ms": "0", "hot.max.bytes": "67108864", "seal.bytes": "1048576",
	}
	maps.Copy(all, n.c.set)
	maps.Copy(all, n.set)
	values, err := settings.New(settings.Source{Name: "test", Values: all})
	if err != nil {
		n.c.t.Fatal(err)
	}
	where, err := open.Parse(all["store"])
	if err != nil {
		n.c.t.Fatal(err)
	}
	n.proc = n.c.net.Boot(n.host)
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel, n.ended = cancel, make(chan error, 1)
	ended := n.ended
	o := broker.Options{Settings: values, Store: Gate{n.proc, n.store}, Place: where, Network: n.proc, Logger: n.c.log.logger(n.host), Wall: n.wall}
	ready = make(chan broker.Addresses, 1)
	go func() { ended <- broker.Run(ctx, o, func(a broker.Addresses) { ready <- a }) }()
	return ready
}

// wall is the broker's clock by the calendar.
func (n *node) wall() time.Time { return time.Now().Add(time.Duration(n.ahead.Load())) }

// start starts the broker and waits until it serves.
func (n *node) start() {
	n.c.t.Helper()
	ready := n.launch()
	select {
	case n.at = <-ready:
	case err := <-n.ended:
		n.cancel = nil
		n.c.t.Fatalf("broker %s did not start: %v", n.host, err)
	case <-time.After(5 * time.Minute):
		n.c.t.Fatalf("broker %s is not ready after five minutes", n.host)
	}
}

// refused starts the broker, which must give up since another one lives under its node
// id.
func (n *node) refused() {
	n.c.t.Helper()
	ready := n.launch()
	select {
	case <-ready:
		n.c.t.Fatalf("broker %s serves under a node id that another broker has", n.host)
	case err := <-n.ended:
		if !errors.Is(err, broker.ErrNode) {
			n.c.t.Fatalf("broker %s ended with %v", n.host, err)
		}
	case <-time.After(5 * time.Minute):
		n.c.t.Fatalf("broker %s has not given up after five minutes", n.host)
	}
	n.cancel()
	n.cancel = nil
	n.proc.Kill()
}

// stop ends the broker as SIGTERM does.
func (n *node) stop() {
	n.c.t.Helper()
	n.cancel()
	n.cancel = nil
	if err := <-n.ended; err != nil {
		n.c.t.Errorf("broker %s ended with %v", n.host, err)
	}
	n.proc.Kill()
}

// crash ends the broker as SIGKILL does. What it leaves on its disk is what was
// there at that moment.
func (n *node) crash() {
	n.c.t.Helper()
	n.proc.Kill()
	synctest.Wait() // nobody writes: the image is of one moment
	image := n.c.disk()
	if err := copyFolder(image, n.dir); err != nil {
		n.c.t.Fatal(err)
	}
	n.dir = image
	n.cancel()
	n.cancel = nil
	ended := n.ended // not well, and not at once: a dead process does not know that it is dead
	n.c.halt = append(n.c.halt, func() { <-ended })
}

// disk makes an empty folder, in memory where that is possible: nothing here asks
// what survives the machine.
func (c *cluster) disk() string {
	dir, err := os.MkdirTemp("/dev/shm", "firn-bubble-")
	if err != nil {
		return c.t.TempDir()
	}
	c.t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// wipe empties the broker's disk.
func (n *node) wipe() {
	n.dir = n.c.disk()
}

// copyFolder copies files that may be written to meanwhile, as a crash finds them.
func copyFolder(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path != from {
			return nil // deleted at this moment
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // deleted at this moment
		}
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o644)
	})
}

// client makes a client on a host of its own.
func (c *cluster) client(opts ...kgo.Opt) *kgo.Client {
	c.t.Helper()
	cl, err := c.newClient(opts...)
	if err != nil {
		c.t.Fatal(err)
	}
	return cl
}

func (c *cluster) newClient(opts ...kgo.Opt) (*kgo.Client, error) {
	return c.clientOn(c.net.Boot(clientHost(c.clients.Add(1))), opts...)
}

// clientHost is where the nth client is.
func clientHost(n int64) string { return fmt.Sprintf("10.1.0.%d", n%250+1) }

// cutOff takes down a broker's link to the other brokers and to all clients so far, until
// the network is mended. It still reaches the bucket.
func (c *cluster) cutOff(n *node) {
	var others []string
	for _, o := range c.brokers {
		if o != n {
			others = append(others, o.host)
		}
	}
	for i := range c.clients.Load() {
		others = append(others, clientHost(i+1))
	}
	c.net.Part([]string{n.host}, others)
}

// clientOn makes a client in a process.
func (c *cluster) clientOn(p *Process, opts ...kgo.Opt) (*kgo.Client, error) {
	seeds := make([]string, len(c.brokers))
	for i, n := range c.brokers {
		seeds[i] = n.host + ":9092"
	}
	return kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(seeds...), kgo.AllowAutoTopicCreation(), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.Dialer(func(ctx context.Context, _, at string) (net.Conn, error) { return p.Dial(ctx, at) }),
		kgo.MetadataMinAge(100 * time.Millisecond), kgo.DialTimeout(2 * time.Second), kgo.RequestRetries(1000),
		kgo.RecordDeliveryTimeout(2 * time.Minute), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
	}, opts...)...)
}

// logs are what brokers say, with virtual times.
type logs struct {
	mu  sync.Mutex
	all bytes.Buffer
}

// Write implements io.Writer.
func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(b)
}

// String is all of it, or its end.
func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.all.Bytes()
	return string(b[max(0, len(b)-64<<10):])
}

func (l *logs) logger(host string) *slog.Logger {
	return slog.New(slog.NewTextHandler(l, nil)).With("broker", host)
}
