package bubble

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
)

// epochs is what brokers tell of leaders and epochs, all their lives long.
type epochs struct {
	t *testing.T

	mu      sync.Mutex
	leaders map[string]map[int32]int32 // of a partition, by epoch; guarded by mu
	told    map[string]int32           // the last epoch, by who told it and partition; guarded by mu
	heard   map[string]int             // answers by broker; guarded by mu
}

// listen asks every broker for all partitions, ten times a second.
func (c *cluster) listen() (e *epochs, stop func()) {
	e = &epochs{t: c.t, leaders: map[string]map[int32]int32{}, told: map[string]int32{}, heard: map[string]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, n := range c.brokers {
		cl := c.client(kgo.SeedBrokers(n.host+":9092"), kgo.RequestRetries(0))
		all.Go(func() {
			defer cl.Close()
			for ctx.Err() == nil {
				one, end := context.WithTimeout(ctx, time.Second)
				r, err := cl.SeedBrokers()[0].Request(one, kmsg.NewPtrMetadataRequest())
				end()
				if err == nil {
					e.hear(n.host, r.(*kmsg.MetadataResponse))
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
	return e, func() { cancel(); all.Wait() }
}

// hear holds an answer to all before it: no broker goes back to an older epoch, also not
// in its next life, and no two ever tell different leaders of one epoch.
func (e *epochs) hear(host string, m *kmsg.MetadataResponse) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard[host]++
	for _, t := range m.Topics {
		for _, p := range t.Partitions {
			id := fmt.Sprintf("%s-%d", *t.Topic, p.Partition)
			if before := e.told[host+" "+id]; p.LeaderEpoch < before {
				e.t.Errorf("%s tells epoch %d of %s after epoch %d", host, p.LeaderEpoch, id, before)
			}
			e.told[host+" "+id] = p.LeaderEpoch
			if p.Leader < 0 {
				continue
			}
			if e.leaders[id] == nil {
				e.leaders[id] = map[int32]int32{}
			}
			if other, ok := e.leaders[id][p.LeaderEpoch]; ok && other != p.Leader {
				e.t.Errorf("%s tells that %d leads %s in epoch %d, of which %d was the leader", host, p.Leader, id, p.LeaderEpoch, other)
			}
			e.leaders[id][p.LeaderEpoch] = p.Leader
		}
	}
}

// Leader epochs only grow, on every broker and from one life of it to the next, and an
// epoch has one leader, through rotations, departures, crashes, lost disks and splits.
func TestLeaderEpochsOnlyGrow(t *testing.T) {
	inBubble(t, 3, map[string]string{"session.rotate.slots": "24", "seal.interval.ms": "2000"}, func(t *testing.T, c *cluster) {
		e, stop := c.listen()
		c.halt = append(c.halt, stop)
		x := c.begin(t, 1, 1)
		time.Sleep(5 * time.Second)
		for i, n := range c.brokers {
			n.stop()
			time.Sleep(time.Second)
			n.start()
			if i == 1 {
				time.Sleep(6 * time.Second) // until it has its share again
				n.crash()
				n.wipe()
				time.Sleep(2 * time.Second)
				n.start()
			}
			time.Sleep(6 * time.Second)
		}
		c.net.Part([]string{c.brokers[0].host}, []string{c.brokers[1].host, c.brokers[2].host})
		time.Sleep(8 * time.Second)
		c.net.Mend()
		time.Sleep(8 * time.Second)
		stop()
		x.judge()

		moves, sessions := 0, 0
		_ = journal.NewReader(c.bucket).Catchup(t.Context(), func(e journal.Entry, _ []catalog.Result) {
			for _, cmd := range e.Commands {
				if _, ok := cmd.(*catalog.RegisterSession); ok {
					sessions++
				}
			}
		})
		for _, by := range e.leaders {
			all := slices.Sorted(maps.Keys(by))
			for i, epoch := range all[1:] {
				if by[epoch] != by[all[i]] {
					moves++
				}
			}
		}
		t.Logf("%d partitions, %d moves, %d sessions; answers: %v", len(e.leaders), moves, sessions, e.heard)
		if moves < 8 || sessions < 12 {
			t.Errorf("leaders changed %d times in %d sessions only: the test shows nothing", moves, sessions)
		}
	})
}
