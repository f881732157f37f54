package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// clusterDescription is what clients are told about the cluster.
type clusterDescription struct {
	Cluster    string       `json:"cluster"`
	Controller int32        `json:"controller"`
	Topics     int          `json:"topics"`
	Partitions int          `json:"partitions"`
	Brokers    []brokerLine `json:"brokers"`
}

type brokerLine struct {
	Node int32  `json:"node"`
	Host string `json:"host"`
	Port int32  `json:"port"`
	Rack string `json:"rack"`
}

// clusterInfo shows the brokers.
func clusterInfo(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:               "info",
		Short:             "Show cluster id and brokers",
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := clusterDescription{Brokers: []brokerLine{}}
			err := g.admin(cmd.Context(), func(ctx context.Context, adm *kadm.Client) error {
				m, err := adm.Metadata(ctx)
				d.Cluster, d.Controller = m.Cluster, m.Controller
				for _, t := range m.Topics {
					d.Topics++
					d.Partitions += len(t.Partitions)
				}
				for _, b := range m.Brokers {
					l := brokerLine{Node: b.NodeID, Host: b.Host, Port: b.Port}
					if b.Rack != nil {
						l.Rack = *b.Rack
					}
					d.Brokers = append(d.Brokers, l)
				}
				return err
			})
			if err != nil {
				return err
			}
			return g.print(cmd, d, func(t *table) {
				t.row("CLUSTER", d.Cluster)
				t.row("CONTROLLER", d.Controller)
				t.row("TOPICS", d.Topics)
				t.row("PARTITIONS", d.Partitions)
				t.row()
				t.row("NODE", "HOST", "PORT", "RACK")
				for _, b := range d.Brokers {
					t.row(b.Node, b.Host, b.Port, orDash(b.Rack))
				}
			})
		},
	}
}
