package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/firnlog/firn/broker"
)

// member is a broker and its share of the work.
type member struct {
	Node    int32  `json:"node"`
	Address string `json:"address"`
	Rack    string `json:"rack"`
	Leads   int    `json:"leads"` // partitions
	Load    int64  `json:"load"`  // bytes per second that clients write and read there
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
				t.row("NODE", "ADDRESS", "RACK", "LEADS", "LOAD", "STATE")
				for _, m := range ms {
					t.row(m.Node, m.Address, m.Rack, m.Leads, size(m.Load)+"/s", m.State)
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
		drains, load, err := condition(ctx, adm, b.NodeID)
		m.Load = load
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

// condition is whether a broker drains, and its load.
func condition(ctx context.Context, adm *kadm.Client, node int32) (drains bool, load int64, err error) {
	rs, err := adm.DescribeBrokerConfigs(ctx, node)
	if err != nil {
		return false, 0, err
	}
	for _, r := range rs {
		if r.Err != nil {
			return false, 0, r.Err
		}
		for _, c := range r.Configs {
			switch {
			case c.Value == nil:
			case c.Key == drainConfig:
				drains = strings.EqualFold(*c.Value, "true")
			case c.Key == broker.LoadSetting:
				load, _ = strconv.ParseInt(*c.Value, 10, 64)
			}
		}
	}
	return drains, load, nil
}
