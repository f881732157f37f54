package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// groupList lists the groups of all brokers.
func groupList(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:               "list",
		Aliases:           []string{"ls"},
		Short:             "List groups",
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			type line struct {
				Group       string `json:"group"`
				State       string `json:"state"`
				Protocol    string `json:"protocol_type"`
				Coordinator int32  `json:"coordinator"`
			}
			lines := []line{}
			err := g.admin(cmd.Context(), func(ctx context.Context, adm *kadm.Client) error {
				gs, err := adm.ListGroups(ctx)
				for _, x := range gs.Sorted() {
					lines = append(lines, line{x.Group, x.State, x.ProtocolType, x.Coordinator})
				}
				return err
			})
			if err != nil {
				return err
			}
			return g.print(cmd, lines, func(t *table) {
				t.row("GROUP", "STATE", "COORDINATOR")
				for _, l := range lines {
					t.row(l.Group, l.State, l.Coordinator)
				}
			})
		},
	}
}
