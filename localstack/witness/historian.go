package witness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnlog/firn/localstack/history"
)

// Options of a Historian.
type Options struct {
	// Client makes a client with these options, which knows where the brokers are. It
	// is called from many goroutines.
	Client func(opts ...kgo.Opt) (*kgo.Client, error)
	// Complain is told at once of what no history has a word for: a value that nobody
	// sent, an answer that says that data is lost. Called from many goroutines.
	Complain func(string)
	// Think is how long a client waits between two operations, on average. Zero: not
	// at all.
	Think time.Duration
	// Acks is what clients ask for. Default all brokers: kgo.AllISRAcks().
	Acks *kgo.Acks
}

// Historian keeps what all clients did and saw.
type Historian struct {
	opts  Options
	began time.Time

	mu     sync.Mutex
	lines  []history.Op
	procs  int
	keys   int           // that exist
	values map[int]int64 // the last value sent to a key
}

// New returns a Historian whose time begins now.
func New(o Options) *Historian {
	return &Historian{opts: o, began: time.Now(), values: map[int]int64{}}
}

// Topic is the topic of a key.
func Topic(key int) string { return "h" + strconv.Itoa(key/2) }

func keyOf(topic string, partition int32) int {
	n, _ := strconv.Atoi(topic[1:])
	return 2*n + int(partition)
}

// Lines are what was written so far.
func (h *Historian) Lines() []history.Op {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.lines)
}

// Keep writes the lines to a new file for people to read, and returns its name.
func (h *Historian) Keep() (file string, err error) {
	f, err := os.CreateTemp("", "firn-history-*.jsonl")
	if err != nil {
		return "", err
	}
	defer f.Close()
	return f.Name(), history.Write(f, h.Lines())
}

// Keys is how many keys there are.
func (h *Historian) Keys() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.keys
}

// Clients is how many clients there were.
func (h *Historian) Clients() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.procs
}

// Began is the moment that the times of lines count from.
func (h *Historian) Began() time.Time { return h.began }

func (h *Historian) add(op history.Op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	op.Time = time.Since(h.began)
	h.lines = append(h.lines, op)
}

// call writes both lines of an operation that do carries out.
func (h *Historian) call(op history.Op, do func(*history.Op)) history.Type {
	op.Type = history.Invoke
	h.add(op)
	op.Steps = slices.Clone(op.Steps)
	op.Type = history.OK
	do(&op)
	h.add(op)
	return op.Type
}

// Grow makes one more topic, and with it two more keys. It tries until ctx ends.
func (h *Historian) Grow(ctx context.Context) error {
	cl, err := h.opts.Client()
	if err != nil {
		return err
	}
	defer cl.Close()
	key := h.Keys()
	for {
		tctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err := kadm.NewClient(cl).CreateTopic(tctx, 2, 1, nil, Topic(key))
		cancel()
		if err == nil || errors.Is(err, kerr.TopicAlreadyExists) { // an answer was lost
			break
		}
		if ctx.Err() != nil {
			return fmt.Errorf("create topic %s: %w", Topic(key), err)
		}
	}
	h.mu.Lock()
	h.keys += 2
	h.mu.Unlock()
	return nil
}

// Start starts n clients; the function that is returned ends them.
func (h *Historian) Start(ctx context.Context, rng *rand.Rand, n int) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for i := range n {
		own := rand.New(rand.NewPCG(rng.Uint64(), uint64(i)))
		wg.Go(func() { h.live(ctx, own) })
	}
	return func() { cancel(); wg.Wait() }
}

// live is the life of one client after another, until ctx ends.
func (h *Historian) live(ctx context.Context, rng *rand.Rand) {
	for ctx.Err() == nil {
		n := h.Keys()
		p := h.process(rng.Perm(n)[:1+rng.IntN(n)])
		if p == nil {
			return
		}
		known := true
		for until := time.Now().Add(time.Duration(3+rng.IntN(12)) * time.Second); known && time.Now().Before(until) && ctx.Err() == nil; {
			p.think(ctx, rng)
			if rng.IntN(2) == 0 {
				p.poll(ctx)
				continue
			}
			keys := make([]int, 1+rng.IntN(4))
			for i := range keys {
				keys[i] = rng.IntN(n)
			}
			known = p.send(ctx, keys...)
		}
		if known { // else the process has ended already
			p.end()
		} else {
			p.cl.Close()
		}
	}
}

// Finish sends once more to each key and reads all of them to their ends.
func (h *Historian) Finish(ctx context.Context) error {
	keys := make([]int, h.Keys())
	for i := range keys {
		keys[i] = i
	}
	p := h.process(keys)
	if p == nil {
		return errors.New("no client for the last polls")
	}
	for part := range slices.Chunk(keys, 4) {
		if !p.send(ctx, part...) {
			p.cl.Close()
			return fmt.Errorf("%v after all faults were mended, keys %v are not served", SendWait, part)
		}
	}
	defer p.end()
	var topics []string
	for k := 0; k < len(keys); k += 2 {
		topics = append(topics, Topic(k))
	}
	ends, err := kadm.NewClient(p.cl).ListEndOffsets(ctx, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("list ends: %w", err)
	}
	left := map[int]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[keyOf(o.Topic, o.Partition)] = o.Offset
		}
	})
	for len(left) > 0 && ctx.Err() == nil {
		for k, next := range p.poll(ctx) {
			if next >= left[k] {
				delete(left, k)
			}
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("keys were not read to their ends: %v", left)
	}
	return nil
}
