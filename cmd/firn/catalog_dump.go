package main

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/tier/cold"
)

// dumped is the answer of firn catalog dump.
type dumped struct {
	Cluster  string                       `json:"cluster"`
	Entry    uint64                       `json:"entry"`
	Topics   []dumpedTopic                `json:"topics"`
	Sessions []dumpedSession              `json:"sessions"`
	Brokers  map[string]map[string]string `json:"broker_configs"` // of "all" and of node ids
	Jobs     int                          `json:"jobs"`           // rewrites under way
	Garbage  int                          `json:"garbage"`        // objects that wait for their grace period
}

type dumpedTopic struct {
	Name       string            `json:"name"`
	ID         string            `json:"id"`
	Internal   bool              `json:"internal"`
	Replicas   int16             `json:"replicas"`
	Configs    map[string]string `json:"configs"`
	Partitions []dumpedPartition `json:"partitions"`
}

type dumpedPartition struct {
	Partition  int32  `json:"partition"`
	Epoch      int32  `json:"epoch"`
	Owner      uint64 `json:"owner"` // a session; 0 is nobody
	LogStart   int64  `json:"log_start"`
	Described  int64  `json:"described"` // the end of what the catalog describes; a live session's slots may hold more
	Extents    int    `json:"extents"`
	IndexLines int    `json:"index_lines"`
	Bytes      int64  `json:"bytes"`
}

type dumpedSession struct {
	ID      uint64    `json:"id"`
	Node    int32     `json:"node"`
	Kafka   string    `json:"kafka"`
	Gossip  string    `json:"gossip"`
	Rack    string    `json:"rack"`
	Nonce   string    `json:"nonce"`
	Started time.Time `json:"started"`
	State   string    `json:"state"` // live, sealed or swept
	Covered uint64    `json:"covered"`
	Fence   uint64    `json:"fence,omitempty"`
	Owns    int       `json:"owns"`
}

func catalogDump(g *globals) *cobra.Command {
	var store, topic string
	cmd := &cobra.Command{
		Use:   "dump --store URL",
		Short: "Print the catalog: topics, partitions, sessions",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd.Context(), store, func(s cold.Store) error {
				state, err := readCatalog(cmd.Context(), s)
				if err != nil {
					return err
				}
				if _, ok := state.TopicNamed(topic); topic != "" && !ok {
					return fmt.Errorf("%s: %w", topic, catalog.ErrNoTopic)
				}
				d := dump(state, topic)
				return g.print(cmd, d, func(t *table) { d.text(t) })
			})
		},
	}
	storeFlag(cmd, &store)
	cmd.Flags().StringVar(&topic, "topic", "", "only this topic")
	return cmd
}

// dump makes the state readable; of one topic, or of all with "".
func dump(state *catalog.State, topic string) dumped {
	d := dumped{
		Cluster: state.ClusterID(), Entry: state.Number(), Topics: []dumpedTopic{}, Sessions: []dumpedSession{},
		Brokers: map[string]map[string]string{}, Jobs: len(state.Jobs()), Garbage: state.GarbageCount(),
	}
	for t := range state.AllTopics() {
		if topic != "" && t.Name != topic {
			continue
		}
		x := dumpedTopic{Name: t.Name, ID: t.ID.String(), Internal: t.Internal, Replicas: t.Replicas, Configs: t.Configs}
		for _, p := range t.Partitions {
			x.Partitions = append(x.Partitions, dumpedPartition{
				Partition: p.ID.Index, Epoch: p.Epoch, Owner: p.Owner, LogStart: p.LogStart, Described: p.Next,
				Extents: len(p.Extents), IndexLines: len(p.Index), Bytes: p.Bytes,
			})
		}
		d.Topics = append(d.Topics, x)
	}
	if c := state.BrokerConfigs(-1); len(c) > 0 {
		d.Brokers["all"] = c
	}
	for _, s := range state.Sessions() {
		x := dumpedSession{
			ID: s.ID, Node: s.Node, Kafka: s.Advertised, Gossip: s.Gossip, Rack: s.Rack, Nonce: hex.EncodeToString(s.Nonce[:]),
			Started: time.UnixMilli(s.StartedMs).UTC(), State: "live", Covered: s.Covered, Owns: state.OwnedCount(s.ID),
		}
		if s.Sealed {
			x.State, x.Fence = "sealed", s.Fence
		}
		if s.Swept {
			x.State = "swept"
		}
		d.Sessions = append(d.Sessions, x)
		if c := state.BrokerConfigs(s.Node); len(c) > 0 {
			d.Brokers[fmt.Sprint(s.Node)] = c
		}
	}
	return d
}

func (d dumped) text(t *table) {
	t.row("TOPIC", "PARTITION", "EPOCH", "OWNER", "START", "DESCRIBED", "EXTENTS", "INDEX-LINES", "BYTES")
	for _, x := range d.Topics {
		for _, p := range x.Partitions {
			t.row(x.Name, p.Partition, p.Epoch, p.Owner, p.LogStart, p.Described, p.Extents, p.IndexLines, p.Bytes)
		}
	}
	t.row("")
	t.row("SESSION", "NODE", "STATE", "OWNS", "COVERED", "FENCE", "STARTED", "KAFKA", "RACK")
	for _, s := range d.Sessions {
		t.row(s.ID, s.Node, s.State, s.Owns, s.Covered, s.Fence, s.Started.Format(time.RFC3339), s.Kafka, orDash(s.Rack))
	}
	t.row("")
	t.row(fmt.Sprintf("cluster %s, journal entry %d, %d rewrites under way, %d objects wait to be deleted", d.Cluster, d.Entry, d.Jobs, d.Garbage))
}
