package main

import "github.com/spf13/cobra"

// newCluster groups what is asked about the cluster as a whole.
func newCluster(g *globals) *cobra.Command {
	return newGroup("cluster", "Look at the cluster, and move work between brokers", clusterInfo(g), clusterHealth(g), clusterMembers(g), clusterDrain(g))
}
