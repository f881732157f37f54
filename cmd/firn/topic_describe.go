package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// topicDescription is what there is to say about a topic.
type topicDescription struct {
	topicLine
	Parts   []partitionLine   `json:"partition_list"`
	Configs map[string]config `json:"configs"`
}

type partitionLine struct {
	Partition int32   `json:"partition"`
	Leader    int32   `json:"leader"`
	Epoch     int32   `json:"epoch"`
	Replicas  []int32 `json:"replicas"`
	LogStart  int64   `json:"log_start"`
	End       int64   `json:"end"`
	Error     string  `json:"error,omitempty"`
}

type config struct {
	Value  string `json:"value"`
	Source string `json:"source"`
}

// topicDescribe shows partitions, offsets and configs: those that were set, all
// of them with --format wide.
func topicDescribe(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:               "describe TOPIC...",
		Short:             "Show partitions, offsets and configs of topics",
		Args:              someArgs("the name of at least one topic"),
		ValidArgsFunction: completeTopics(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			out := []topicDescription{}
			var missing []string
			err := g.admin(cmd.Context(), func(ctx context.Context, adm *kadm.Client) error {
				var err error
				out, missing, err = describeTopics(ctx, adm, args)
				return err
			})
			if err != nil {
				return err
			}
			err = g.print(cmd, out, func(t *table) {
				for i, d := range out {
					if i > 0 {
						t.row()
					}
					d.print(t)
				}
			})
			if err == nil && len(missing) > 0 {
				err = fmt.Errorf("no such topic: %s (`firn topic list` shows what there is)", strings.Join(missing, ", "))
			}
			return err
		},
	}
}

func describeTopics(ctx context.Context, adm *kadm.Client, names []string) (out []topicDescription, missing []string, err error) {
	out = []topicDescription{}
	ts, err := adm.ListTopicsWithInternal(ctx, names...)
	if err != nil {
		return out, nil, err
	}
	var found []string
	for _, name := range names {
		if t, ok := ts[name]; !ok || t.Err != nil {
			missing = append(missing, name)
		} else if !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	if len(found) == 0 {
		return out, missing, nil
	}
	starts, err := adm.ListStartOffsets(ctx, found...)
	if err != nil {
		return out, missing, err
	}
	ends, err := adm.ListEndOffsets(ctx, found...)
	if err != nil {
		return out, missing, err
	}
	configs, err := adm.DescribeTopicConfigs(ctx, found...)
	if err != nil {
		return out, missing, err
	}
	for _, name := range found {
		t := ts[name]
		d := topicDescription{
			topicLine: topicLine{t.Topic, topicID(t.ID), len(t.Partitions), t.Partitions.NumReplicas(), t.IsInternal},
			Parts:     []partitionLine{}, Configs: map[string]config{},
		}
		for _, p := range t.Partitions.Sorted() {
			s, _ := starts.Lookup(name, p.Partition)
			e, _ := ends.Lookup(name, p.Partition)
			l := partitionLine{Partition: p.Partition, Leader: p.Leader, Epoch: p.LeaderEpoch, Replicas: p.Replicas, LogStart: s.Offset, End: e.Offset}
			for _, err := range []error{e.Err, s.Err, p.Err} {
				if err != nil {
					l.LogStart, l.End, l.Error = -1, -1, err.Error()
				}
			}
			d.Parts = append(d.Parts, l)
		}
		if rc, err := configs.On(name, nil); err == nil {
			for _, c := range rc.Configs {
				if c.Value != nil {
					d.Configs[c.Key] = config{*c.Value, strings.ToLower(c.Source.String())}
				}
			}
		}
		out = append(out, d)
	}
	return out, missing, nil
}

func (d topicDescription) print(t *table) {
	t.row("TOPIC", d.Name)
	t.row("ID", d.ID)
	t.row("PARTITIONS", d.Partitions)
	t.row("REPLICAS", d.Replicas)
	t.row()
	t.row("PARTITION", "LEADER", "EPOCH", "REPLICAS", "LOG-START", "END")
	for _, p := range d.Parts {
		if p.Error != "" {
			t.row(p.Partition, p.Leader, p.Epoch, p.Replicas, "-", "-", p.Error)
		} else {
			t.row(p.Partition, p.Leader, p.Epoch, p.Replicas, p.LogStart, p.End)
		}
	}
	names := slices.Sorted(maps.Keys(d.Configs))
	if !t.Wide {
		names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(d.Configs[n].Source, "dynamic_topic") })
	}
	if len(names) == 0 {
		return
	}
	t.row()
	t.row("CONFIG", "VALUE", "SOURCE")
	for _, n := range names {
		t.row(n, d.Configs[n].Value, d.Configs[n].Source)
	}
}
