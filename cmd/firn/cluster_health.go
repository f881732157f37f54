package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
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
	Findings   []string `json:"findings"` // with every partition by name

	found findings
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
is a finding, 1 when no broker answers. --format wide names every partition of a finding.`,
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
			if len(h.found) > 0 { // what has just moved is served again by now
				time.Sleep(settled)
				if again, err := look(ctx, cl, g.timeout/3); err == nil {
					h = again
				}
			}
			h.Healthy = len(h.found) == 0
			for _, f := range h.found {
				h.Findings = append(h.Findings, f.text(true))
			}
			err = g.print(cmd, h, func(t *table) {
				for _, f := range h.found {
					t.row(f.text(t.Wide))
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

// finding is something wrong, with all partitions that it is the same with: an outage of the
// bucket is one finding for each broker, however many partitions that leads.
type finding struct {
	of         string // what is wrong, with %[1]s where the partitions stand
	partitions []string
}

// named is how many partitions of a finding are named when not all are.
const named = 3

// text is the finding in a line, with all partitions or a few of them by name.
func (f finding) text(all bool) string {
	switch n := len(f.partitions); {
	case n == 0:
		return f.of
	case n == 1:
		return f.partitions[0] + ": " + strings.ReplaceAll(f.of, they, "it")
	default:
		names := f.partitions
		rest := ""
		if !all && n > named {
			names, rest = names[:named], fmt.Sprintf(" and %d more", n-named)
		}
		return fmt.Sprintf("%d partitions: %s: %s%s", n, strings.ReplaceAll(f.of, they, "them"), strings.Join(names, ", "), rest)
	}
}

// they stands in a finding for its partitions.
const they = "\x00"

// findings are gathered by what is wrong.
type findings []finding

func (fs *findings) add(topic string, partition int32, of string) {
	name := fmt.Sprintf("%s partition %d", topic, partition)
	i := slices.IndexFunc(*fs, func(f finding) bool { return f.of == of })
	if i < 0 {
		*fs = append(*fs, finding{of: of, partitions: []string{name}})
		return
	}
	(*fs)[i].partitions = append((*fs)[i].partitions, name)
}

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
				h.found.add(t.Topic, p.Partition, p.Err.Error())
			case !slices.Contains(nodes, p.Leader):
				h.found.add(t.Topic, p.Partition, "nobody leads "+they)
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
	found := make([]findings, len(m.Brokers))
	var each sync.WaitGroup
	for i, b := range m.Brokers {
		each.Go(func() { found[i] = unserved(ctx, cl.Broker(int(b.NodeID)), b, led[b.NodeID]) })
	}
	each.Wait()
	h.found = append(slices.Concat(found...), h.found...)
	return h, nil
}

// unserved asks a broker for the ends of what it is said to lead, or whether it is there
// when that is nothing, and returns what is wrong.
func unserved(ctx context.Context, broker *kgo.Broker, b kadm.BrokerDetail, led []kmsg.ListOffsetsRequestTopic) findings {
	silent := func(err error) findings {
		return findings{{of: fmt.Sprintf("broker %d at %s:%d does not answer: %v", b.NodeID, b.Host, b.Port, err)}}
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
	var out findings
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			why := kerr.TypedErrorForCode(p.ErrorCode)
			if why == nil {
				continue
			}
			of := fmt.Sprintf("broker %d leads %s and does not serve %[2]s: %v", b.NodeID, they, why)
			if why == kerr.NotLeaderForPartition {
				of = fmt.Sprintf("broker %d leads %s and does not serve %[2]s: %s (does it reach the bucket? its /readyz says)", b.NodeID, they, why.Message)
			}
			out.add(t.Topic, p.Partition, of)
		}
	}
	return out
}
