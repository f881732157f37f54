package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/firnlog/firn/replay"
	"github.com/firnlog/firn/tier/cold"
)

// topicStorage says where the records of a topic lie.
func topicStorage(g *globals) *cobra.Command {
	var store string
	var partitions []int32
	cmd := &cobra.Command{
		Use:   "storage TOPIC --store URL",
		Short: "Say where the records of each partition lie in the bucket",
		Long: `Say where the records of each partition lie, read from the bucket, with or without
brokers:

  HOT         the broker whose hot tier may hold copies: the partition's owner
  UNRECORDED  bytes in WAL objects that the catalog does not know yet
  WAL         bytes in WAL objects that it does, and that will be pressed
  SEALED      bytes in sealed objects, which hold other partitions, too
  SEGMENTS    bytes in objects of the partition alone
  UPLOADED    when the object with the newest records was written`,
		Args:              exactArgs(1, "the name of a topic"),
		ValidArgsFunction: completeTopics(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out []replay.Storage
			err := withStore(cmd.Context(), store, func(s cold.Store) error {
				h, err := replay.Open(cmd.Context(), s, args[0], replay.Options{})
				if err != nil {
					return err
				}
				out, err = h.Storage(cmd.Context(), partitions)
				return err
			})
			if err != nil {
				return err
			}
			return g.print(cmd, out, func(t *table) { printStorage(t, out) })
		},
	}
	storeFlag(cmd, &store)
	cmd.Flags().Int32SliceVarP(&partitions, "partitions", "p", nil, "only these partitions")
	_ = cmd.RegisterFlagCompletionFunc("partitions", completePartitions(g))
	return cmd
}

func printStorage(t *table, parts []replay.Storage) {
	amount := func(a replay.Amount) any {
		if t.Wide {
			return fmt.Sprintf("%d in %d", a.Bytes, a.Runs)
		}
		return a.Bytes
	}
	t.row("PARTITION", "START", "END", "HOT", "UNRECORDED", "WAL", "SEALED", "SEGMENTS", "UPLOADED")
	for _, p := range parts {
		hot, last := "-", "-"
		if p.Session != 0 {
			hot = fmt.Sprintf("node %d", p.Node)
		}
		if !p.LastUpload.IsZero() {
			last = p.LastUpload.UTC().Format(time.RFC3339)
		}
		t.row(p.Partition, p.LogStart, p.End, hot, amount(p.Unrecorded), amount(p.WAL), amount(p.Shared), amount(p.Own), last)
	}
}
