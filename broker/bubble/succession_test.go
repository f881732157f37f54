package bubble

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnlog/firn/broker"
)

// writer sends a record to each partition of topic "t" in turn, and notes what was
// acknowledged where.
type writer struct {
	cl   *kgo.Client
	end  context.CancelFunc
	done sync.WaitGroup

	mu   sync.Mutex
	at   map[string]string // value to partition and offset
	errs []error
	last time.Time
	gap  time.Duration // longest without an acknowledgement since forget
	slow time.Duration // longest that a record has waited for its own since forget
}

func (c *cluster) writer(partitions int) *writer {
	c.t.Helper()
	cl := c.client(kgo.DefaultProduceTopic("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }), kgo.MetadataMinAge(20*time.Millisecond),
		kgo.RequestRetries(10_000), kgo.RecordRetries(10_000))
	if _, err := kadm.NewClient(cl).CreateTopic(c.t.Context(), int32(partitions), 1, nil, "t"); err != nil {
		c.t.Fatal(err)
	}
	// The client holds a lock while it asks for its producer id: nobody else may wait
	// for it in a bubble.
	if err := cl.ProduceSync(c.t.Context(), &kgo.Record{Value: []byte("first")}).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
	ctx, end := context.WithCancel(c.t.Context())
	w := &writer{cl: cl, end: end, at: map[string]string{}, last: time.Now()}
	w.done.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			v, began := fmt.Sprint(i), time.Now()
			cl.Produce(context.Background(), &kgo.Record{Partition: int32(i % partitions), Value: []byte(v)}, func(r *kgo.Record, err error) {
				w.mu.Lock()
				defer w.mu.Unlock()
				if err != nil {
					w.errs = append(w.errs, err)
					return
				}
				now := time.Now()
				w.gap, w.last = max(w.gap, now.Sub(w.last)), now
				w.slow = max(w.slow, now.Sub(began))
				w.at[v] = fmt.Sprintf("%d@%d", r.Partition, r.Offset)
			})
			time.Sleep(5 * time.Millisecond)
		}
	})
	return w
}

// forget begins a new look at gaps.
func (w *writer) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gap, w.slow = 0, 0
}

func (w *writer) longest() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gap
}

func (w *writer) slowest() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.slow
}

// finish ends the writer and compares the log with what was acknowledged.
func (w *writer) finish(t *testing.T, c *cluster) {
	t.Helper()
	w.end()
	w.done.Wait()
	if err := w.cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.cl.Close()
	for _, err := range w.errs {
		t.Errorf("the writer was told: %v", err)
	}
	if len(w.at) == 0 {
		t.Fatal("nothing was acknowledged")
	}
	r := c.client(kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer r.Close()
	seen := map[string]string{}
	for left := len(w.at); left > 0; {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		fs := r.PollFetches(ctx)
		late := ctx.Err() != nil
		cancel()
		if late {
			t.Fatalf("%d acknowledged records are not there", left)
		}
		fs.EachRecord(func(r *kgo.Record) {
			v, at := string(r.Value), fmt.Sprintf("%d@%d", r.Partition, r.Offset)
			if before, ok := seen[v]; ok {
				t.Errorf("%s is at %s and at %s", v, before, at)
			}
			seen[v] = at
			if want, ok := w.at[v]; ok {
				left--
				if want != at {
					t.Errorf("%s was acknowledged at %s and is at %s", v, want, at)
				}
			}
		})
	}
}

func TestTheLivingSucceedTheDead(t *testing.T) {
	for _, x := range []struct {
		name string
		most time.Duration // longest time without an acknowledgement
		end  func(c *cluster, n *node)
		back func(c *cluster, n *node)
	}{
		{"killed", 500 * time.Millisecond, func(_ *cluster, n *node) { n.crash() }, func(_ *cluster, n *node) { n.start() }},
		{"asked to leave", 100 * time.Millisecond, func(_ *cluster, n *node) { n.stop() }, func(_ *cluster, n *node) { n.start() }},
		{"cut off", 3 * time.Second, (*cluster).cutOff, func(c *cluster, _ *node) { c.net.Mend() }},
	} {
		t.Run(x.name, func(t *testing.T) {
			inBubble(t, 3, nil, func(t *testing.T, c *cluster) {
				w := c.writer(6)
				time.Sleep(10 * time.Second)
				for _, n := range c.brokers {
					w.forget()
					x.end(c, n)
					time.Sleep(5 * time.Second)
					if gap := w.longest(); gap > x.most {
						t.Errorf("%s without an acknowledgement, want %s at most", gap, x.most)
					}
					x.back(c, n)
					time.Sleep(20 * time.Second) // until all have their share again
				}
				w.finish(t, c)
			})
		})
	}
}

// A client learns partition by partition that a broker has left, from that broker: each of
// these answers takes a look at the journal, and none may wait for the one before.
func TestOfManyPartitionsNoneWaitsForTheOthers(t *testing.T) {
	inBubble(t, 3, nil, func(t *testing.T, c *cluster) {
		w := c.writer(120)
		time.Sleep(10 * time.Second)
		for _, n := range c.brokers {
			w.forget()
			n.stop()
			time.Sleep(2 * time.Second)
			if slow := w.slowest(); slow > 300*time.Millisecond {
				t.Errorf("a record waited %s when one broker of three left", slow)
			}
			n.start()
			time.Sleep(20 * time.Second) // until all have their share again
		}
		w.finish(t, c)
	})
}

func TestTwoProcessesWithOneNodeID(t *testing.T) {
	inBubble(t, 2, map[string]string{"node.id": "-1"}, func(t *testing.T, c *cluster) {
		w := c.writer(4)
		time.Sleep(5 * time.Second)
		twin := c.add()
		twin.set["node.id"] = fmt.Sprint(c.brokers[0].at.Node)
		ready := twin.launch()
		select {
		case <-ready:
			t.Error("a second broker serves under the same node id")
			twin.stop()
		case err := <-twin.ended:
			if !errors.Is(err, broker.ErrNode) || !strings.Contains(err.Error(), c.brokers[0].host) {
				t.Errorf("the second one ended with %v", err)
			}
			twin.cancel()
		}
		twin.cancel = nil
		twin.proc.Kill()
		w.finish(t, c)
	})
}

// A broker that was stopped for minutes, and replaced under its node id meanwhile, finds
// that out when it wakes, and ends.
func TestAZombieThatWasReplacedEnds(t *testing.T) {
	inBubble(t, 2, nil, func(t *testing.T, c *cluster) {
		w := c.writer(4)
		time.Sleep(5 * time.Second)
		zombie := c.brokers[0]
		zombie.proc.Pause()
		time.Sleep(time.Minute)
		heir := c.add()
		heir.set["node.id"] = fmt.Sprint(zombie.at.Node)
		heir.start()
		time.Sleep(time.Minute)
		zombie.proc.Resume()
		err := <-zombie.ended
		if !errors.Is(err, broker.ErrNode) {
			t.Errorf("the zombie ended with %v", err)
		}
		zombie.cancel()
		zombie.cancel = nil
		zombie.proc.Kill()
		w.finish(t, c)
	})
}

// A zombie that nobody replaced goes on with a new session.
func TestAZombieComesBack(t *testing.T) {
	inBubble(t, 2, nil, func(t *testing.T, c *cluster) {
		w := c.writer(4)
		time.Sleep(5 * time.Second)
		zombie := c.brokers[0]
		zombie.proc.Pause()
		time.Sleep(3 * time.Minute)
		zombie.proc.Resume()
		cl := c.client()
		defer cl.Close()
		for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
			m, err := kadm.NewClient(cl).Metadata(t.Context(), "t")
			if err != nil {
				t.Fatal(err)
			}
			led := 0
			for _, p := range m.Topics["t"].Partitions {
				if p.Leader == zombie.at.Node {
					led++
				}
			}
			if led == 2 {
				break
			}
			if time.Since(began) > 30*time.Second {
				t.Fatalf("it leads %d partitions 30 s after it woke", led)
			}
		}
		w.finish(t, c)
	})
}
