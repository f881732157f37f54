//go:build ring4

package ring4

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"strings"
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

// TestDrainedBrokerGivesUpItsPartitions drains one of two brokers under load with the
// program's own verb, restarts it, and lets it come back.
func TestDrainedBrokerGivesUpItsPartitions(t *testing.T) {
	a := newStack(t)
	b := newStack(t)
	b.store = a.store
	a.start(t)
	b.start(t)
	const topic = "drain"
	adm := kadm.NewClient(client(t, a.addr, kgo.SeedBrokers(a.addr, b.addr)))
	if _, err := adm.CreateTopic(t.Context(), 8, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	w := startWriters(t, a.addr, topic, 2)
	firn := func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), a.bin, append(args, "--brokers", a.addr)...).CombinedOutput()
		if err != nil {
			t.Fatalf("firn %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	leads := func() int {
		m, err := adm.Metadata(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, p := range m.Topics[topic].Partitions {
			if strconv.Itoa(int(p.Leader)) == b.broker.Node {
				n++
			}
		}
		return n
	}
	share := func() {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); leads() == 0; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("a broker that may take partitions leads none:\n%s", firn("cluster", "members"))
			}
		}
	}
	share()
	firn("cluster", "drain", b.broker.Node)
	if n := leads(); n != 0 {
		t.Errorf("a drained broker leads %d partitions", n)
	}
	b.stop(t)
	b.start(t)
	time.Sleep(7 * time.Second) // longer than brokers wait before they share
	if n := leads(); n != 0 {
		t.Errorf("a drained broker leads %d partitions after its restart", n)
	}
	if out := firn("cluster", "members"); !strings.Contains(out, "drained") {
		t.Errorf("members:\n%s", out)
	}
	firn("cluster", "drain", b.broker.Node, "--undo")
	share()
	got := w.stop(t)
	check(t, a.addr, topic, got)
	a.stop(t)
	b.stop(t)
	a.verify(t)
}
