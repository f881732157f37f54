package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// clusterHealth looks for brokers that do not answer and partitions that nobody leads. Exit code 3 when it finds
// some, 1 when nobody answers: what a container's health check wants to know.
func clusterHealth(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:               "health",
		Short:             "Check that every broker answers and every partition has a leader",
		Long:              "Check that every broker of the cluster answers, at the address that clients are told,\nwithin half of --timeout, and every partition has a leader. Exit code 0 when all is\nwell, 3 when there is a finding, 1 when no broker answers.",
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h := struct {
				Healthy    bool     `json:"healthy"`
				Brokers    int      `json:"brokers"`
				Partitions int      `json:"partitions"`
				Findings   []string `json:"findings"`
			}{Findings: []string{}}
			err := g.admin(cmd.Context(), func(ctx context.Context, adm *kadm.Client) error {
				m, err := adm.Metadata(ctx)
				h.Brokers = len(m.Brokers)
				if err != nil {
					return err
				}
				nodes := m.Brokers.NodeIDs()
				asking, cancel := context.WithTimeout(ctx, g.timeout/2)
				defer cancel()
				answers, err := adm.ApiVersions(asking) // of those that are there now
				if err != nil {
					return err
				}
				for _, b := range m.Brokers {
					if a, asked := answers[b.NodeID]; asked && a.Err != nil {
						h.Findings = append(h.Findings, fmt.Sprintf("broker %d at %s:%d does not answer: %v", b.NodeID, b.Host, b.Port, a.Err))
					}
				}
				for _, t := range m.Topics.Sorted() {
					for _, p := range t.Partitions.Sorted() {
						h.Partitions++
						switch {
						case p.Err != nil:
							h.Findings = append(h.Findings, fmt.Sprintf("%s partition %d: %v", t.Topic, p.Partition, p.Err))
						case !slices.Contains(nodes, p.Leader):
							h.Findings = append(h.Findings, fmt.Sprintf("%s partition %d: nobody leads it", t.Topic, p.Partition))
						}
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			h.Healthy = len(h.Findings) == 0
			err = g.print(cmd, h, func(t *table) {
				for _, f := range h.Findings {
					t.row(f)
				}
				if h.Healthy {
					t.row(fmt.Sprintf("healthy: %s, %s", counted(int64(h.Brokers), "broker"), counted(int64(h.Partitions), "partition")))
				}
			})
			if err == nil && !h.Healthy {
				err = &exit{code: exitProblem}
			}
			return err
		},
	}
}
