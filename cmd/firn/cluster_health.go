package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// health is the answer of firn cluster health.
type health struct {
	Healthy    bool     `json:"healthy"`
	Brokers    int      `json:"brokers"`
	Partitions int      `json:"partitions"`
	Findings   []string `json:"findings"`
}

// clusterHealth looks for brokers that do not answer and partitions that nobody serves.
// Exit code 3 when it finds some, 1 when nobody answers: what a container's health check
// wants to know.
func clusterHealth(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "health",
		Short: "Check that every broker answers and every partition is served",
		Long: `Check that every broker of the cluster answers, at the address that clients are told and
within a third of --timeout, and that every partition has a leader which serves it: a broker
that does not reach the bucket serves none. Exit code 0 when all is well, 3 when there
is a finding, 1 when no broker answers.`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cl, err := g.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer cl.Close()
			ctx, cancel := context.WithTimeout(ctx, g.timeout)
			defer cancel()
			h, err := look(ctx, cl, g.timeout/3)
			if err != nil {
				return cl.explain(err)
			}
			if len(h.Findings) > 0 { // what has just moved is served again by now
				time.Sleep(settled)
				if again, err := look(ctx, cl, g.timeout/3); err == nil {
					h = again
				}
			}
			h.Healthy = len(h.Findings) == 0
			err = g.print(cmd, h, func(t *table) {
				for _, f := range h.Findings {
					t.row(f)
				}
				if h.Healthy {
					t.row(fmt.Sprintf("healthy: %s, %s", counted(int64(h.Brokers), "broker"), counted(int64(h.Partitions), "partition")))
				}
			})
			if err == nil && !h.Healthy {
				err = &exit{code: exitProblem}
			}
			return err
		},
	}
}

// settled is how long a partition may take that moves.
const settled = 300 * time.Millisecond

// look asks one broker who leads what, and every broker for the ends of what it leads: by
// itself, since a client would go on asking for as long as it may.
func look(ctx context.Context, cl *client, patience time.Duration) (*health, error) {
	m, err := kadm.NewClient(cl.Client).Metadata(ctx)
	if err != nil {
		return nil, err
	}
	h := &health{Brokers: len(m.Brokers), Findings: []string{}}
	nodes := m.Brokers.NodeIDs()
	led := map[int32][]kmsg.ListOffsetsRequestTopic{}
	for _, t := range m.Topics.Sorted() {
		for _, p := range t.Partitions.Sorted() {
			h.Partitions++
			switch {
			case p.Err != nil:
				h.Findings = append(h.Findings, fmt.Sprintf("%s partition %d: %v", t.Topic, p.Partition, p.Err))
			case !slices.Contains(nodes, p.Leader):
				h.Findings = append(h.Findings, fmt.Sprintf("%s partition %d: nobody leads it", t.Topic, p.Partition))
			default:
				q := kmsg.NewListOffsetsRequestTopicPartition()
				q.Partition, q.CurrentLeaderEpoch, q.Timestamp = p.Partition, -1, -1
				ts := led[p.Leader]
				if len(ts) == 0 || ts[len(ts)-1].Topic != t.Topic {
					x := kmsg.NewListOffsetsRequestTopic()
					x.Topic = t.Topic
					ts = append(ts, x)
				}
				ts[len(ts)-1].Partitions = append(ts[len(ts)-1].Partitions, q)
				led[p.Leader] = ts
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	found := make([][]string, len(m.Brokers))
	var each sync.WaitGroup
	for i, b := range m.Brokers {
		each.Go(func() { found[i] = unserved(ctx, cl.Broker(int(b.NodeID)), b, led[b.NodeID]) })
	}
	each.Wait()
	h.Findings = append(slices.Concat(found...), h.Findings...)
	return h, nil
}

// unserved asks a broker for the ends of what it is said to lead, or whether it is there
// when that is nothing, and returns what is wrong.
func unserved(ctx context.Context, broker *kgo.Broker, b kadm.BrokerDetail, led []kmsg.ListOffsetsRequestTopic) []string {
	silent := func(err error) []string {
		return []string{fmt.Sprintf("broker %d at %s:%d does not answer: %v", b.NodeID, b.Host, b.Port, err)}
	}
	if len(led) == 0 {
		_, err := kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, broker)
		if err != nil {
			return silent(err)
		}
		return nil
	}
	q := kmsg.NewPtrListOffsetsRequest()
	q.ReplicaID, q.Topics = -1, led
	r, err := q.RequestWith(ctx, broker)
	if err != nil {
		return silent(err)
	}
	var out []string
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				out = append(out, fmt.Sprintf("%s partition %d: broker %d leads it and does not serve it: %v", t.Topic, p.Partition, b.NodeID, err))
			}
		}
	}
	return out
}
