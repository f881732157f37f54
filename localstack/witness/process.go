package witness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnlog/firn/localstack/history"
)

// SendWait is how long a client waits for its sends.
const SendWait = 10 * time.Second

// process is one client: it reads some keys from their start and sends to any, until
// its time is over or nobody knows what became of a send.
type process struct {
	h    *Historian
	id   int
	keys []int
	cl   *kgo.Client
}

// process makes a client that reads the keys; nil when it cannot be made.
func (h *Historian) process(keys []int) *process {
	h.mu.Lock()
	h.procs++
	p := &process{h: h, id: h.procs, keys: keys}
	h.mu.Unlock()
	from := map[string]map[int32]kgo.Offset{}
	for _, k := range keys {
		if from[Topic(k)] == nil {
			from[Topic(k)] = map[int32]kgo.Offset{}
		}
		from[Topic(k)][int32(k%2)] = kgo.NewOffset().AtStart()
	}
	opts := []kgo.Opt{
		kgo.ConsumePartitions(from), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0), kgo.MetadataMinAge(100 * time.Millisecond), kgo.FetchMaxWait(100 * time.Millisecond),
		kgo.ProduceRequestTimeout(3 * time.Second), kgo.RequestTimeoutOverhead(time.Second), kgo.DialTimeout(2 * time.Second),
	}
	if h.opts.Acks != nil {
		opts = append(opts, kgo.RequiredAcks(*h.opts.Acks), kgo.DisableIdempotentWrite())
	}
	cl, err := h.opts.Client(opts...)
	if err != nil {
		h.opts.Complain(err.Error())
		return nil
	}
	p.cl = cl
	h.call(history.Op{Process: p.id, Func: history.Assign, Keys: keys}, func(*history.Op) {})
	return p
}

// end throws the client away.
func (p *process) end() {
	p.cl.Close()
	p.h.call(history.Op{Process: p.id, Func: history.Crash}, func(op *history.Op) { op.Type = history.Info })
}

// think waits before the next operation.
func (p *process) think(ctx context.Context, rng *rand.Rand) {
	if p.h.opts.Think <= 0 {
		return
	}
	t := time.NewTimer(time.Duration(2 * rng.Float64() * float64(p.h.opts.Think)))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// answer is what became of one value.
type answer struct {
	at  int
	off int64
	err error
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
		rs = append(rs, &kgo.Record{Topic: Topic(k), Partition: int32(k % 2), Value: strconv.AppendInt(nil, v, 10)})
	}
	p.h.mu.Unlock()
	got := p.h.call(op, func(op *history.Op) {
		answers := make(chan answer, len(rs))
		for i, r := range rs {
			p.cl.Produce(context.Background(), r, func(r *kgo.Record, err error) { answers <- answer{i, r.Offset, err} })
		}
		late := time.NewTimer(SendWait)
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
func (p *process) poll(ctx context.Context) map[int]int64 {
	next := map[int]int64{}
	p.h.call(history.Op{Process: p.id, Func: history.Poll}, func(op *history.Op) {
		pctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		fs := p.cl.PollRecords(pctx, 500)
		for _, e := range fs.Errors() {
			if !errors.Is(e.Err, context.DeadlineExceeded) && !errors.Is(e.Err, context.Canceled) {
				op.Err = e.Err.Error()
				if lost := (*kgo.ErrDataLoss)(nil); errors.As(e.Err, &lost) {
					p.h.opts.Complain(fmt.Sprintf("a consumer was told that data is lost: %v", e.Err))
				}
			}
		}
		at := map[int]int{}
		fs.EachRecord(func(r *kgo.Record) {
			k := keyOf(r.Topic, r.Partition)
			v, err := strconv.ParseInt(string(r.Value), 10, 64)
			if err != nil {
				p.h.opts.Complain(fmt.Sprintf("%s-%d at %d holds %q, which nobody sent", r.Topic, r.Partition, r.Offset, r.Value))
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
