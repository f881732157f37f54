package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// member is a broker and its share of the work.
type member struct {
	Node    int32  `json:"node"`
	Address string `json:"address"`
	Rack    string `json:"rack"`
	Leads   int    `json:"leads"` // partitions
	State   string `json:"state"` // active, draining, drained
}

// clusterMembers shows what each broker leads, and which of them drain.
func clusterMembers(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:               "members",
		Short:             "Show what each broker leads, and which of them drain",
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var ms []member
			err := g.admin(cmd.Context(), func(ctx context.Context, adm *kadm.Client) (err error) {
				ms, err = members(ctx, adm)
				return err
			})
			if err != nil {
				return err
			}
			return g.print(cmd, ms, func(t *table) {
				t.row("NODE", "ADDRESS", "RACK", "LEADS", "STATE")
				for _, m := range ms {
					t.row(m.Node, m.Address, m.Rack, m.Leads, m.State)
				}
			})
		},
	}
}

func members(ctx context.Context, adm *kadm.Client) ([]member, error) {
	md, err := adm.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	leads := map[int32]int{}
	for _, t := range md.Topics {
		for _, p := range t.Partitions {
			leads[p.Leader]++
		}
	}
	ms := make([]member, 0, len(md.Brokers))
	for _, b := range md.Brokers {
		m := member{Node: b.NodeID, Address: fmt.Sprintf("%s:%d", b.Host, b.Port), Leads: leads[b.NodeID], State: "active"}
		if b.Rack != nil {
			m.Rack = *b.Rack
		}
		drains, err := draining(ctx, adm, b.NodeID)
		switch {
		case err != nil:
			m.State = "silent" // in the metadata, and does not answer
		case drains && m.Leads > 0:
			m.State = "draining"
		case drains:
			m.State = "drained"
		}
		ms = append(ms, m)
	}
	return ms, nil
}

// drainConfig is the broker's setting.
const drainConfig = "broker.drain"

func draining(ctx context.Context, adm *kadm.Client, node int32) (bool, error) {
	rs, err := adm.DescribeBrokerConfigs(ctx, node)
	if err != nil {
		return false, err
	}
	for _, r := range rs {
		if r.Err != nil {
			return false, r.Err
		}
		for _, c := range r.Configs {
			if c.Key == drainConfig && c.Value != nil {
				return strings.EqualFold(*c.Value, "true"), nil
			}
		}
	}
	return false, nil
}
