//go:build ring4

package ring4

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnlog/firn/localstack/history"
)

// historian writes down what clients do and see. A key k is partition k%2 of the
// topic "h<k/2>".
type historian struct {
	began time.Time

	mu     sync.Mutex
	lines  []history.Op
	procs  int
	keys   int           // that exist
	values map[int]int64 // the last value sent to a key
}

func newHistorian() *historian { return &historian{began: time.Now(), values: map[int]int64{}} }

func topicOf(key int) string { return "h" + strconv.Itoa(key/2) }

func keyOf(r *kgo.Record) int {
	n, _ := strconv.Atoi(r.Topic[1:])
	return 2*n + int(r.Partition)
}

func (h *historian) add(op history.Op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	op.Time = time.Since(h.began)
	h.lines = append(h.lines, op)
}

// call writes both lines of an operation that do carries out.
func (h *historian) call(op history.Op, do func(*history.Op)) history.Type {
	op.Type = history.Invoke
	h.add(op)
	op.Steps = slices.Clone(op.Steps)
	op.Type = history.OK
	do(&op)
	h.add(op)
	return op.Type
}

// grow makes one more topic, with any broker's help.
func (h *historian) grow(ctx context.Context, cl *kgo.Client) error {
	h.mu.Lock()
	key := h.keys
	h.mu.Unlock()
	for {
		tctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err := kadm.NewClient(cl).CreateTopic(tctx, 2, 1, nil, topicOf(key))
		cancel()
		if err == nil || errors.Is(err, kerr.TopicAlreadyExists) { // an answer was lost
			break
		}
		if ctx.Err() != nil {
			return err
		}
	}
	h.mu.Lock()
	h.keys += 2
	h.mu.Unlock()
	return nil
}

// process is one client: it reads some keys from their start and sends to any, until
// its time is over or nobody knows what became of a send.
type process struct {
	h    *historian
	id   int
	keys []int
	cl   *kgo.Client
}

// sendWait is how long a process waits for its sends.
const sendWait = 10 * time.Second

func (h *historian) process(t *testing.T, keys []int, brokers ...string) *process {
	h.mu.Lock()
	h.procs++
	p := &process{h: h, id: h.procs, keys: keys}
	h.mu.Unlock()
	from := map[string]map[int32]kgo.Offset{}
	for _, k := range keys {
		if from[topicOf(k)] == nil {
			from[topicOf(k)] = map[int32]kgo.Offset{}
		}
		from[topicOf(k)][int32(k%2)] = kgo.NewOffset().AtStart()
	}
	p.cl = client(t, brokers[0], kgo.SeedBrokers(brokers...), kgo.ConsumePartitions(from), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0), kgo.MetadataMinAge(100*time.Millisecond), kgo.FetchMaxWait(100*time.Millisecond),
		kgo.ProduceRequestTimeout(3*time.Second), kgo.RequestTimeoutOverhead(time.Second), kgo.DialTimeout(2*time.Second))
	h.call(history.Op{Process: p.id, Func: history.Assign, Keys: keys}, func(*history.Op) {})
	return p
}

// end throws the client away.
func (p *process) end() {
	p.cl.Close()
	p.h.call(history.Op{Process: p.id, Func: history.Crash}, func(op *history.Op) { op.Type = history.Info })
}

// send sends up to four values and reports whether their fate is known.
func (p *process) send(ctx context.Context, keys ...int) bool {
	op := history.Op{Process: p.id, Func: history.Send}
	var rs []*kgo.Record
	p.h.mu.Lock()
	for _, k := range keys {
		p.h.values[k]++
		v := p.h.values[k]
		op.Steps = append(op.Steps, history.Step{Key: k, Send: &history.Record{Offset: history.Unknown, Value: v}})
		rs = append(rs, &kgo.Record{Topic: topicOf(k), Partition: int32(k % 2), Value: strconv.AppendInt(nil, v, 10)})
	}
	p.h.mu.Unlock()
	got := p.h.call(op, func(op *history.Op) {
		type answer struct {
			at  int
			off int64
			err error
		}
		answers := make(chan answer, len(rs))
		for i, r := range rs {
			p.cl.Produce(context.Background(), r, func(r *kgo.Record, err error) { answers <- answer{i, r.Offset, err} })
		}
		late := time.NewTimer(sendWait)
		defer late.Stop()
		for range rs {
			select {
			case a := <-answers:
				if a.err != nil {
					op.Type, op.Err = history.Info, a.err.Error()
					continue
				}
				op.Steps[a.at].Send = &history.Record{Offset: a.off, Value: op.Steps[a.at].Send.Value}
			case <-late.C:
				op.Type, op.Err = history.Info, "no answer in time"
				return
			case <-ctx.Done():
				op.Type, op.Err = history.Info, "the test gave up"
				return
			}
		}
	})
	return got == history.OK
}

// poll takes what there is. It returns the offset after the last record of each key.
func (p *process) poll(t *testing.T, ctx context.Context) map[int]int64 {
	next := map[int]int64{}
	p.h.call(history.Op{Process: p.id, Func: history.Poll}, func(op *history.Op) {
		pctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		fs := p.cl.PollRecords(pctx, 500)
		for _, e := range fs.Errors() {
			if !errors.Is(e.Err, context.DeadlineExceeded) && !errors.Is(e.Err, context.Canceled) {
				op.Err = e.Err.Error()
				if lost := (*kgo.ErrDataLoss)(nil); errors.As(e.Err, &lost) {
					t.Errorf("a consumer was told that data is lost: %v", e.Err)
				}
			}
		}
		at := map[int]int{}
		fs.EachRecord(func(r *kgo.Record) {
			k := keyOf(r)
			v, err := strconv.ParseInt(string(r.Value), 10, 64)
			if err != nil {
				t.Errorf("%s-%d at %d holds %q, which nobody sent", r.Topic, r.Partition, r.Offset, r.Value)
			}
			i, ok := at[k]
			if !ok {
				i = len(op.Steps)
				at[k] = i
				op.Steps = append(op.Steps, history.Step{Key: k})
			}
			op.Steps[i].Poll = append(op.Steps[i].Poll, history.Record{Offset: r.Offset, Value: v})
			next[k] = r.Offset + 1
		})
	})
	return next
}

// live is the life of one client after another, until ctx ends.
func (h *historian) live(ctx context.Context, t *testing.T, rng *rand.Rand, brokers ...string) {
	for ctx.Err() == nil {
		h.mu.Lock()
		n := h.keys
		h.mu.Unlock()
		p := h.process(t, rng.Perm(n)[:1+rng.IntN(n)], brokers...)
		known := true
		for until := time.Now().Add(time.Duration(3+rng.IntN(12)) * time.Second); known && time.Now().Before(until) && ctx.Err() == nil; {
			if rng.IntN(2) == 0 {
				p.poll(t, ctx)
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

// finish sends once more to each key and reads all of them to their ends.
func (h *historian) finish(t *testing.T, brokers ...string) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	keys := make([]int, h.keys)
	for i := range keys {
		keys[i] = i
	}
	p := h.process(t, keys, brokers...)
	for part := range slices.Chunk(keys, 4) {
		if !p.send(ctx, part...) {
			t.Errorf("%v after all faults were mended, keys %v are not served", sendWait, part)
			return
		}
	}
	var topics []string
	for k := 0; k < h.keys; k += 2 {
		topics = append(topics, topicOf(k))
	}
	ends, err := kadm.NewClient(p.cl).ListEndOffsets(ctx, topics...)
	if err != nil || ends.Error() != nil {
		t.Errorf("list ends: %v %v", err, ends.Error())
		return
	}
	left := map[int]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[keyOf(&kgo.Record{Topic: o.Topic, Partition: o.Partition})] = o.Offset
		}
	})
	for len(left) > 0 && ctx.Err() == nil {
		for k, next := range p.poll(t, ctx) {
			if next >= left[k] {
				delete(left, k)
			}
		}
	}
	if len(left) > 0 {
		t.Errorf("keys were not read to their ends: %v", left)
	}
	p.end()
}

// judge holds the history to account.
func (h *historian) judge(t *testing.T) *history.Report {
	t.Helper()
	r, err := history.Check(h.lines)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d operations of %d clients on %d keys: %d values acknowledged, %d uncertain, %d read; longest time without an acknowledgement %v; allowed: %d anomalies",
		len(h.lines)/2, h.procs, h.keys, r.Sent, r.Unsure, r.Polled, r.Gap.Round(time.Millisecond), len(r.Allowed))
	if r.Sent == 0 || r.Polled == 0 {
		t.Error("nothing was acknowledged or read: the test showed nothing")
	}
	for i, a := range r.Bad {
		if i == 20 {
			t.Errorf("and %d more", len(r.Bad)-i)
			break
		}
		t.Error(a)
	}
	if !t.Failed() {
		return r
	}
	f, err := os.CreateTemp("", "firn-history-*.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := history.Write(f, h.lines); err != nil {
		t.Error(err)
	}
	t.Logf("the history is in %s", f.Name())
	return r
}

// startClients starts n clients; the function that is returned ends them.
func (h *historian) startClients(t *testing.T, rng *rand.Rand, n int, brokers ...string) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range n {
		own := rand.New(rand.NewPCG(rng.Uint64(), uint64(i)))
		wg.Go(func() { h.live(ctx, t, own, brokers...) })
	}
	return func() { cancel(); wg.Wait() }
}

// nemesisTime is RING4_NEMESIS, or how long faults rotate in a usual run.
func nemesisTime(t *testing.T) time.Duration {
	t.Helper()
	s := os.Getenv("RING4_NEMESIS")
	if s == "" {
		return 45 * time.Second
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		t.Fatalf("RING4_NEMESIS=%q: want a duration, as in 1h", s)
	}
	return d
}
