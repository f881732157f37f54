//go:build ring4

package ring4

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// members are consumers of one group that count how often they saw what.
type members struct {
	end context.CancelFunc
	wg  sync.WaitGroup

	mu    sync.Mutex
	seen  map[string]int
	moved int // partitions that a member lost
	errs  []error
}

// startMembers starts n of them.
func startMembers(t *testing.T, addr, topic, group string, n int, opts ...kgo.Opt) *members {
	ctx, end := context.WithCancel(t.Context())
	m := &members{end: end, seen: map[string]int{}}
	t.Cleanup(func() { end(); m.wg.Wait() })
	for range n {
		cl := client(t, addr, append([]kgo.Opt{
			kgo.ConsumeTopics(topic), kgo.ConsumerGroup(group), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.FetchMaxWait(100 * time.Millisecond),
			kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
				m.mu.Lock()
				defer m.mu.Unlock()
				m.moved += len(lost[topic])
			}),
		}, opts...)...)
		m.wg.Go(func() {
			for ctx.Err() == nil {
				fs := cl.PollFetches(ctx)
				m.mu.Lock()
				for _, e := range fs.Errors() {
					if !errors.Is(e.Err, context.Canceled) {
						m.errs = append(m.errs, e.Err)
					}
				}
				fs.EachRecord(func(r *kgo.Record) { m.seen[string(r.Value)]++ })
				m.mu.Unlock()
			}
		})
	}
	return m
}

// saw waits until the members have seen all of it, and holds them to it.
func (m *members) saw(t *testing.T, want map[string]acked) {
	t.Helper()
	missing := func() int {
		m.mu.Lock()
		defer m.mu.Unlock()
		n := 0
		for v := range want {
			if m.seen[v] == 0 {
				n++
			}
		}
		return n
	}
	for deadline := time.Now().Add(30 * time.Second); missing() > 0 && time.Now().Before(deadline); {
		time.Sleep(100 * time.Millisecond)
	}
	if n := missing(); n > 0 {
		t.Errorf("%d of %d records did not reach the group", n, len(want))
	}
	m.end()
	m.wg.Wait()
	again := 0
	for _, n := range m.seen {
		if n > 1 {
			again++
		}
	}
	if again > 0 {
		t.Errorf("%d records came twice to the group", again)
	}
	if m.moved > 0 {
		t.Errorf("members lost %d partitions", m.moved)
	}
	for _, err := range m.errs {
		t.Errorf("a consumer was told: %v", err)
	}
}

// TestARollingRestartIsNotNoticed stops three brokers with SIGTERM one after the other,
// under load, and starts them again. Nothing is lost, nothing comes twice, nobody is
// told of an error, and no member of the group loses its partitions.
func TestARollingRestartIsNotNoticed(t *testing.T) {
	var brokers []*stack
	for range 3 {
		b := newStack(t)
		if len(brokers) > 0 {
			b.store = brokers[0].store
		}
		b.start(t)
		brokers = append(brokers, b)
	}
	const topic = "rolling"
	adm := kadm.NewClient(client(t, brokers[0].addr, kgo.SeedBrokers(brokers[0].addr, brokers[1].addr, brokers[2].addr)))
	spread(t, adm, topic, brokers)
	m := startMembers(t, brokers[0].addr, topic, "rolling", 2)
	w := startWriters(t, brokers[0].addr, topic, 2)
	// What is restarted is a cluster that works.
	for deadline := time.Now().Add(30 * time.Second); w.acknowledged() == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing is acknowledged by a cluster that nobody restarts")
		}
	}
	for round := range 2 {
		for i, b := range brokers {
			waitLeads(t, adm, topic, b, 2)
			before := w.acknowledged()
			b.stop(t)
			if round > 0 {
				time.Sleep(time.Second) // long enough for the others to share what it had
			}
			b.start(t)
			if w.acknowledged() == before {
				t.Errorf("nothing was acknowledged while broker %d restarted", i)
			}
		}
	}
	got := w.stop(t)
	m.saw(t, got)
	check(t, brokers[1].addr, topic, got)
	for _, b := range brokers {
		b.stop(t)
	}
	brokers[0].verify(t)
}

// spread creates the topic, again if need be, until all brokers lead some of it: until
// then some did not know of the others.
func spread(t *testing.T, adm *kadm.Client, topic string, brokers []*stack) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, err := adm.CreateTopic(t.Context(), 12, 1, nil, topic); err != nil {
			t.Fatal(err)
		}
		m, err := adm.Metadata(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		leaders := map[int32]bool{}
		for _, p := range m.Topics[topic].Partitions {
			leaders[p.Leader] = true
		}
		if len(leaders) == len(brokers) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d brokers lead something of a new topic", len(leaders), len(brokers))
		}
		if _, err := adm.DeleteTopic(t.Context(), topic); err != nil {
			t.Fatal(err)
		}
	}
}

// waitLeads waits until a broker leads so many partitions at least.
func waitLeads(t *testing.T, adm *kadm.Client, topic string, b *stack, least int) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		m, err := adm.Metadata(t.Context(), topic)
		led := 0
		for _, p := range m.Topics[topic].Partitions {
			if strconv.Itoa(int(p.Leader)) == b.broker.Node {
				led++
			}
		}
		if err == nil && led >= least {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("node %s leads %d partitions, want %d: %v", b.broker.Node, led, least, err)
		}
	}
}
