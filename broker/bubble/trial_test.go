package bubble

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnlog/firn/localstack/history"
	"github.com/firnlog/firn/localstack/witness"
	"github.com/firnlog/firn/replay/audit"
)

// trial is clients that live while faults happen, and what is held against what they
// saw.
type trial struct {
	*cluster
	t    *testing.T
	h    *witness.Historian
	stop func()
}

// begin starts n clients on keys of three topics.
func (c *cluster) begin(t *testing.T, seed uint64, n int) *trial {
	t.Helper()
	x := &trial{cluster: c, t: t}
	x.h = witness.New(witness.Options{
		Client:   func(opts ...kgo.Opt) (*kgo.Client, error) { return c.newClient(opts...) },
		Complain: func(what string) { t.Error(what) }, Think: 100 * time.Millisecond,
	})
	for range 3 {
		if err := x.h.Grow(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	x.stop = sync.OnceFunc(x.h.Start(context.Background(), rand.New(rand.NewPCG(seed, 0)), n))
	c.halt = append(c.halt, x.stop)
	return x
}

// mended is how long after the last fault everything may take to be served.
const mended = 30 * time.Second

// judge ends the clients, and holds what they saw to what a log promises: what was
// acknowledged is there once, at its offset (P1, P3), every broker says the same, the
// bucket is whole, and all is served again soon after the last fault.
func (x *trial) judge() *history.Report {
	t := x.t
	t.Helper()
	x.stop()
	ctx, cancel := context.WithTimeout(t.Context(), mended)
	defer cancel()
	began := time.Now()
	if err := x.h.Finish(ctx); err != nil {
		t.Error(err)
	}
	served := time.Since(began)
	r, err := history.Check(x.h.Lines())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s of virtual time: %d values acknowledged, %d uncertain, %d read by %d clients; longest without acknowledgement %s; all read %s after the faults",
		time.Since(x.h.Began()).Round(time.Second), r.Sent, r.Unsure, r.Polled, x.h.Clients(), r.Gap.Round(time.Millisecond), served.Round(time.Millisecond))
	for _, what := range r.Complaints() {
		t.Error(what)
	}
	x.agree()
	x.whole()
	if t.Failed() {
		file, err := x.h.Keep()
		t.Logf("the history is in %s (%v)", file, err)
	}
	return r
}

// agree waits until every broker that runs tells clients the same of every topic: the
// same brokers, leaders and leader epochs.
func (x *trial) agree() {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.t.Context(), mended)
	defer cancel()
	var said map[string]string
	for {
		said = map[string]string{}
		var all []string
		for _, n := range x.brokers {
			if n.cancel == nil {
				continue
			}
			said[n.host] = x.told(ctx, n)
			all = append(all, said[n.host])
		}
		if len(slices.Compact(all)) == 1 && all[0] != "" {
			return
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			x.t.Errorf("brokers do not agree: %v", said)
			return
		}
	}
}

// told is what one broker tells of all others and all topics.
func (c *cluster) told(ctx context.Context, n *node) string {
	cl, err := c.newClient(kgo.SeedBrokers(n.host+":9092"), kgo.MetadataMinAge(10*time.Millisecond))
	if err != nil {
		return err.Error()
	}
	defer cl.Close()
	m, err := kadm.NewClient(cl).Metadata(ctx)
	if err != nil {
		return err.Error()
	}
	out := fmt.Sprintln(m.Brokers.NodeIDs())
	for _, t := range m.Topics.Sorted() {
		for _, p := range t.Partitions.Sorted() {
			out += fmt.Sprintln(p.Topic, p.Partition, p.Leader, p.LeaderEpoch, p.Err)
		}
	}
	return out
}

// whole holds the bucket to its catalog.
func (c *cluster) whole() {
	c.t.Helper()
	r, err := audit.Run(c.t.Context(), c.bucket, audit.Options{Parallel: 1})
	if err != nil {
		c.t.Errorf("audit: %v", err)
	}
	for _, f := range r.Findings {
		c.t.Errorf("audit: %s: %s", f.Where, f.What)
	}
}
