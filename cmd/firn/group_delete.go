package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// groupDelete forgets groups and what they have committed, after asking (H3).
func groupDelete(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:               "delete GROUP...",
		Aliases:           []string{"rm"},
		Short:             "Delete groups and their committed offsets",
		Args:              someArgs("the name of at least one group"),
		ValidArgsFunction: completeGroups(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := g.confirm(cmd, fmt.Sprintf("Delete %s and what they have committed?", strings.Join(args, ", "))); err != nil {
				return err
			}
			errs := map[string]error{}
			err := g.admin(cmd.Context(), func(ctx context.Context, adm *kadm.Client) error {
				rs, err := adm.DeleteGroups(ctx, args...)
				for _, r := range rs {
					errs[r.Group] = r.Err
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
