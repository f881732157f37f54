package main

import (
	"context"
	"encoding/base64"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// topicID is a topic's id as Kafka's own tools write it.
func topicID(id kadm.TopicID) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// topicList lists topics; internal ones only when asked to.
func topicList(g *globals) *cobra.Command {
	var internal bool
	cmd := &cobra.Command{
		Use:               "list",
		Aliases:           []string{"ls"},
		Short:             "List topics",
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			lines := []topicLine{}
			err := g.admin(cmd.Context(), func(ctx context.Context, adm *kadm.Client) error {
				list := adm.ListTopics
				if internal {
					list = adm.ListTopicsWithInternal
				}
				ts, err := list(ctx)
				for _, t := range ts.Sorted() {
					lines = append(lines, topicLine{t.Topic, topicID(t.ID), len(t.Partitions), t.Partitions.NumReplicas(), t.IsInternal})
				}
				return err
			})
			if err != nil {
				return err
			}
			return g.print(cmd, lines, func(t *table) {
				if t.Wide {
					t.row("NAME", "PARTITIONS", "REPLICAS", "ID", "INTERNAL")
					for _, l := range lines {
						t.row(l.Name, l.Partitions, l.Replicas, l.ID, l.Internal)
					}
					return
				}
				t.row("NAME", "PARTITIONS", "REPLICAS")
				for _, l := range lines {
					t.row(l.Name, l.Partitions, l.Replicas)
				}
			})
		},
	}
	cmd.Flags().BoolVar(&internal, "internal", false, "list internal topics as well")
	return cmd
}
