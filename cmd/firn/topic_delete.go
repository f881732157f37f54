package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// topicDelete deletes topics, each on its own, after asking (H3).
func topicDelete(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:               "delete TOPIC...",
		Aliases:           []string{"rm"},
		Short:             "Delete topics and all their records",
		Args:              someArgs("the name of at least one topic"),
		ValidArgsFunction: completeTopics(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := g.confirm(cmd, fmt.Sprintf("Delete %s and all records in it?", strings.Join(args, ", "))); err != nil {
				return err
			}
			errs := map[string]error{}
			err := g.admin(cmd.Context(), func(ctx context.Context, adm *kadm.Client) error {
				rs, err := adm.DeleteTopics(ctx, args...)
				for _, r := range rs {
					errs[r.Topic] = reason(r.Err, r.ErrMessage)
				}
				return err
			})
			if err != nil {
				return err
			}
			return g.outcomes(cmd, "deleted", args, errs)
		},
	}
}
