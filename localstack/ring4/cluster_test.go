//go:build ring4

package ring4

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestTwoBrokersSucceedEachOther kills one of two brokers on one bucket, again and
// again, with an empty disk each time; the other takes its partitions over.
func TestTwoBrokersSucceedEachOther(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 5))
	a := newStack(t)
	b := newStack(t)
	b.store = a.store
	a.start(t)
	b.start(t)
	const topic = "cluster"
	both := kgo.SeedBrokers(a.addr, b.addr)
	if _, err := kadm.NewClient(client(t, a.addr, both)).CreateTopic(t.Context(), 8, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	got := map[string]acked{}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for p := range 2 {
		wg.Go(func() {
			cl := client(t, a.addr, both, kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.MetadataMinAge(100*time.Millisecond), kgo.MaxBufferedRecords(2000))
			for i := 0; ctx.Err() == nil; i++ {
				cl.Produce(context.Background(), &kgo.Record{Value: fmt.Appendf(nil, "%d-%d", p, i)}, func(r *kgo.Record, err error) {
					if err == nil {
						mu.Lock()
						got[string(r.Value)] = acked{r.Partition, r.Offset}
						mu.Unlock()
					}
				})
				if i%20 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
			fctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
			defer cancel()
			if err := cl.Flush(fctx); err != nil {
				t.Errorf("producer %d: %v", p, err)
			}
		})
	}
	for k := range 6 {
		time.Sleep(time.Duration(2000+rng.IntN(2500)) * time.Millisecond)
		s := []*stack{a, b}[k%2]
		s.kill()
		s.wipe(t)
		time.Sleep(time.Duration(rng.IntN(4500)) * time.Millisecond) // sometimes back before anybody noticed
		s.start(t)
	}
	time.Sleep(time.Second)
	stop()
	wg.Wait()
	if len(got) == 0 {
		t.Fatal("nothing was acknowledged: the test showed nothing")
	}
	check(t, a.addr, topic, got)
	a.stop(t)
	// The other broker follows the journal once a second and takes over then.
	deadline := time.Now().Add(15 * time.Second)
	for {
		cl := client(t, b.addr)
		ends, err := kadm.NewClient(cl).ListEndOffsets(t.Context(), topic)
		cl.Close()
		if err == nil && ends.Error() == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the partitions of a broker that left are not served: %v %v", err, ends.Error())
		}
		time.Sleep(100 * time.Millisecond)
	}
	check(t, b.addr, topic, got)
	b.stop(t)
	a.verify(t)
}
