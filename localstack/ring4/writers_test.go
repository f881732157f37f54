//go:build ring4

package ring4

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// writers are idempotent producers with acks=all that note what was acknowledged.
type writers struct {
	end context.CancelFunc
	wg  sync.WaitGroup

	mu   sync.Mutex
	got  map[string]acked
	errs []error // what did not reach the broker within a producer's patience
}

// startWriters starts n of them. Each writes about a thousand records a second. They have
// their producer ids when it returns: franz-go takes a broker that is killed before it has
// answered anything on a connection for one that wants SASL, and gives up.
func startWriters(t *testing.T, addr, topic string, n int) *writers {
	ctx, end := context.WithCancel(t.Context())
	w := &writers{end: end, got: map[string]acked{}}
	t.Cleanup(func() { end(); w.wg.Wait() })
	for p := range n {
		cl := client(t, addr, kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()),
			kgo.ProducerLinger(time.Duration(p)*time.Millisecond), kgo.MaxBufferedRecords(2000))
		if _, _, err := cl.ProducerID(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				v := fmt.Sprintf("%d-%d-%0*d", p, i, 20+i%300, i)
				cl.Produce(context.Background(), &kgo.Record{Value: []byte(v)}, func(r *kgo.Record, err error) {
					w.mu.Lock()
					defer w.mu.Unlock()
					if err == nil {
						w.got[v] = acked{r.Partition, r.Offset}
					} else {
						w.errs = append(w.errs, err)
					}
				})
				if i%10 == 0 {
					time.Sleep(10 * time.Millisecond)
				}
			}
			fctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
			defer cancel()
			if err := cl.Flush(fctx); err != nil {
				t.Errorf("producer %d: %v", p, err)
			}
		})
	}
	return w
}

func (w *writers) acknowledged() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.got)
}

// stop ends them and returns what was acknowledged where.
func (w *writers) stop(t *testing.T) map[string]acked {
	t.Helper()
	w.end()
	w.wg.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, err := range w.errs {
		t.Errorf("a producer gave up: %v", err)
	}
	if len(w.got) == 0 {
		t.Fatal("nothing was acknowledged: the test showed nothing")
	}
	t.Logf("%d acknowledged", len(w.got))
	return w.got
}
