//go:build ring4

package ring4

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// private is the memory that a process has for itself, in MiB: what is not files.
func private(t *testing.T, pid int) (mib int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); f[0] == "RssAnon:" {
			kib, _ := strconv.Atoi(f[1])
			return kib >> 10
		}
	}
	t.Fatal("no RssAnon")
	return 0
}

// TestABrokerWithLittleMemoryMakesClientsWait gives a broker a limit of memory (GOMEMLIMIT),
// and clients that send twice as much at once. They wait; the broker keeps to its limit, so
// that a container that is a little larger does not kill it, and what was acknowledged is
// there.
func TestABrokerWithLittleMemoryMakesClientsWait(t *testing.T) {
	const limit, room = 256, 320 // MiB: what it is to keep to, and what it never goes beyond
	const clients, batch = 64, 8 << 20
	s := newStack(t)
	s.env = []string{fmt.Sprintf("GOMEMLIMIT=%dMiB", limit)}
	s.start(t)
	const topic = "large"
	size := strconv.Itoa(batch + 1<<20)
	if _, err := kadm.NewClient(client(t, s.addr)).CreateTopic(t.Context(), 16, 1, map[string]*string{"max.message.bytes": &size}, topic); err != nil {
		t.Fatal(err)
	}
	value := bytes.Repeat([]byte("0123456789abcdef"), batch/16)
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
	defer cancel()
	var sent atomic.Int64
	var all sync.WaitGroup
	for i := range clients {
		cl := client(t, s.addr, kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()),
			kgo.ProducerBatchMaxBytes(batch+1<<19), kgo.BrokerMaxWriteBytes(100<<20))
		all.Go(func() {
			for ctx.Err() == nil {
				err := cl.ProduceSync(t.Context(), &kgo.Record{Partition: int32(i % 16), Value: value}).FirstErr()
				if err != nil {
					t.Errorf("client %d: %v", i, err)
					return
				}
				sent.Add(1)
			}
		})
	}
	most := 0
	for ctx.Err() == nil {
		select {
		case <-s.broker.Exited():
			t.Fatal("the broker died")
		case <-time.After(50 * time.Millisecond):
			most = max(most, private(t, s.broker.Pid()))
		}
	}
	all.Wait()
	t.Logf("%d batches of %d MiB by %d clients; %d MiB of memory at most", sent.Load(), batch>>20, clients, most)
	if most > room {
		t.Errorf("the broker had %d MiB of memory, with a limit of %d", most, limit)
	}
	if sent.Load() < clients {
		t.Errorf("%d batches were acknowledged, less than one a client: the test shows nothing", sent.Load())
	}
	ends, err := kadm.NewClient(client(t, s.addr)).ListEndOffsets(t.Context(), topic)
	if err != nil || ends.Error() != nil {
		t.Fatal(err, ends.Error())
	}
	var there int64
	ends.Each(func(o kadm.ListedOffset) { there += o.Offset })
	if there != sent.Load() {
		t.Errorf("%d batches were acknowledged and %d are there", sent.Load(), there)
	}
	s.stop(t)
	s.verify(t)
}
