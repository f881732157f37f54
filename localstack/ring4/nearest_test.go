//go:build ring4

package ring4

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// fetched counts the bytes of answers to Fetch by broker.
type fetched struct {
	mu sync.Mutex
	by map[int32]int
}

var _ kgo.HookBrokerRead = (*fetched)(nil)

// OnBrokerRead implements kgo.HookBrokerRead.
func (f *fetched) OnBrokerRead(meta kgo.BrokerMetadata, key int16, n int, _, _ time.Duration, _ error) {
	if key == 1 {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.by[meta.NodeID] += n
	}
}

func (f *fetched) from(node string) int {
	n, _ := strconv.Atoi(node)
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.by[int32(n)]
}

// TestHistoryIsReadFromTheNearestBroker reads a topic with clients that name the rack of
// a broker which does not lead it: what is sealed comes from there, what is new from the
// leader, at once.
func TestHistoryIsReadFromTheNearestBroker(t *testing.T) { // KIP-392
	a := newStack(t, "--rack", "a", "--seal-interval-ms", "1000")
	b := newStack(t, "--rack", "b", "--seal-interval-ms", "1000")
	b.store = a.store
	a.start(t)
	b.start(t)
	const topic, records, size = "nearest", 8000, 1000
	both := kgo.SeedBrokers(a.addr, b.addr)
	w := client(t, a.addr, both, kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	adm := kadm.NewClient(w)
	// Four partitions: franz-go goes to brokers alone that lead one of its topics.
	if _, err := adm.CreateTopic(t.Context(), 4, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	var m kadm.Metadata
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		var err error
		if m, err = adm.Metadata(t.Context(), topic); err == nil {
			leaders := map[int32]bool{}
			for _, p := range m.Topics[topic].Partitions {
				leaders[p.Leader] = p.Leader >= 0
			}
			if len(leaders) == 2 && !leaders[-1] {
				break
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the partitions are led by one broker: %+v, %v", m.Topics, err)
		}
	}
	near, far, rack := b, a, "b"
	if strconv.Itoa(int(m.Topics[topic].Partitions[0].Leader)) == b.broker.Node {
		near, far, rack = a, b, "a"
	}
	filler := strings.Repeat("x", size)
	for i := range records {
		w.Produce(t.Context(), &kgo.Record{Value: fmt.Appendf(nil, "%d %s", i, filler)}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	const latestTiered = -5 // the last offset that the catalog describes (KIP-1005)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		l, err := adm.ListOffsetsAfterMilli(t.Context(), latestTiered, topic)
		if o, ok := l.Lookup(topic, 0); err == nil && ok && o.Err == nil && o.Offset == records-1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not all is sealed after a minute: %+v, %v", l, err)
		}
	}

	f := &fetched{by: map[int32]int{}}
	r := client(t, far.addr, both, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.Rack(rack), kgo.WithHooks(f), kgo.FetchMaxBytes(1<<20), kgo.FetchMaxWait(200*time.Millisecond))
	next := int64(0)
	read := func(until int64) {
		t.Helper()
		for next < until {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			fs := r.PollFetches(ctx)
			late := ctx.Err() != nil
			cancel()
			if late {
				t.Fatalf("nothing comes at offset %d of %d", next, until)
			}
			for _, e := range fs.Errors() {
				t.Errorf("the consumer was told: %v", e.Err)
			}
			fs.EachRecord(func(r *kgo.Record) {
				if r.Offset != next || !strings.HasPrefix(string(r.Value), strconv.FormatInt(r.Offset, 10)+" ") {
					t.Errorf("offset %d holds %.10q, want offset %d", r.Offset, r.Value, next)
				}
				next = r.Offset + 1
			})
		}
	}
	read(records)
	if n, l := f.from(near.broker.Node), f.from(far.broker.Node); n < records*size*3/4 {
		t.Errorf("%d bytes came from the nearest broker and %d from the leader", n, l)
	}
	for i := range int64(20) { // the tail
		if err := w.ProduceSync(t.Context(), &kgo.Record{Value: fmt.Appendf(nil, "%d ", records+i)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		read(records + i + 1)
		if d := time.Since(began); i > 0 && d > 3*time.Second {
			t.Errorf("a new record came after %v", d)
		}
	}

	before := servedBytes(t, near, topic)
	out := kcat(t, nil, "-b", far.addr, "-C", "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q",
		"-X", "client.rack="+rack, "-X", "fetch.message.max.bytes=200000", "-f", "%o\n")
	lines := strings.Fields(out)
	for i, l := range lines {
		if l != strconv.Itoa(i) {
			t.Fatalf("kcat: line %d is offset %s", i, l)
		}
	}
	if len(lines) != records+20 {
		t.Errorf("kcat read %d records of %d", len(lines), records+20)
	}
	if n := servedBytes(t, near, topic) - before; n < records*size/2 {
		t.Errorf("kcat: the nearest broker served %.0f bytes of %d", n, records*size)
	}
}

// servedBytes is what a broker has sent to consumers of a topic.
func servedBytes(t *testing.T, b *stack, topic string) float64 {
	t.Helper()
	r, err := http.Get("http://" + b.broker.HTTP + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	lines := bufio.NewScanner(r.Body)
	for lines.Scan() {
		if v, ok := strings.CutPrefix(lines.Text(), fmt.Sprintf("firn_kafka_fetched_bytes_total{topic=%q} ", topic)); ok {
			n, err := strconv.ParseFloat(v, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	return 0
}
