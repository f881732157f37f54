package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// topicAddPartitions gives topics more partitions. They never become fewer, and
// keys go to other partitions than before.
func topicAddPartitions(g *globals) *cobra.Command {
	var add int
	var dry bool
	cmd := &cobra.Command{
		Use:               "add-partitions TOPIC... --num N",
		Short:             "Give topics more partitions",
		Long:              "Give topics more partitions. There is no way back, and records with a key go to other\npartitions than before: consumers that rely on the order of a key notice.",
		Args:              someArgs("the name of at least one topic"),
		ValidArgsFunction: completeTopics(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			if add < 1 {
				return usage("--num %d: want how many partitions to add", add)
			}
			errs := map[string]error{}
			err := g.admin(cmd.Context(), func(ctx context.Context, adm *kadm.Client) error {
				create := adm.CreatePartitions
				if dry {
					create = adm.ValidateCreatePartitions
				}
				rs, err := create(ctx, add, args...)
				for _, r := range rs {
					errs[r.Topic] = reason(r.Err, r.ErrMessage)
				}
				return err
			})
			if err != nil {
				return err
			}
			done := "grown"
			if dry {
				done = "would be grown"
			}
			return g.outcomes(cmd, done, args, errs)
		},
	}
	cmd.Flags().IntVarP(&add, "num", "n", 0, "how many partitions to add")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "check only")
	return cmd
}
