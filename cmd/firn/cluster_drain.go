package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// clusterDrain makes a broker give up what it leads, and waits until it has.
func clusterDrain(g *globals) *cobra.Command {
	var undo bool
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "drain NODE",
		Short: "Make a broker give up all its partitions",
		Long: "Make a broker give up all its partitions to the others, and take none until --undo. It goes on\n" +
			"serving until each partition has another owner; clients notice a metadata refresh. It stays\n" +
			"drained over restarts. The last broker that takes partitions is not drained: nobody could take\n" +
			"its own.",
		Example: "  firn cluster drain 2\n  firn cluster drain 2 --undo",
		Args:    exactArgs(1, "the node id of a broker; firn cluster members shows them"),
		ValidArgsFunction: g.complete(func(ctx context.Context, adm *kadm.Client, given []string) []string {
			if len(given) > 0 {
				return nil
			}
			var out []string
			if md, err := adm.BrokerMetadata(ctx); err == nil {
				for _, b := range md.Brokers {
					out = append(out, strconv.Itoa(int(b.NodeID)))
				}
			}
			return out
		}),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.ParseInt(args[0], 10, 32)
			if err != nil || n < 0 {
				return usage("%q is no node id: want a number, as firn cluster members shows", args[0])
			}
			node := int32(n)
			err = g.patient(cmd.Context(), func(ctx context.Context, adm *kadm.Client) error {
				return drain(ctx, adm, node, undo, g.timeout, wait)
			})
			if err != nil {
				return err
			}
			done := "drained"
			if undo {
				done = "active"
			}
			return g.outcomes(cmd, done, args, nil)
		},
	}
	cmd.Flags().BoolVar(&undo, "undo", false, "let the broker take partitions again")
	cmd.Flags().DurationVar(&wait, "wait", time.Minute, "how long to wait until the broker leads nothing")
	return cmd
}

// drain asks, each time for as long as timeout, and waits for as long as wait.
func drain(ctx context.Context, adm *kadm.Client, node int32, undo bool, timeout, wait time.Duration) error {
	asking, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := mayDrain(asking, adm, node, undo, timeout/2); err != nil {
		return err
	}
	change := kadm.AlterConfig{Op: kadm.SetConfig, Name: drainConfig, Value: kadm.StringPtr("true")}
	if undo {
		change = kadm.AlterConfig{Op: kadm.DeleteConfig, Name: drainConfig}
	}
	rs, err := adm.AlterBrokerConfigs(asking, []kadm.AlterConfig{change}, node)
	if err != nil {
		return err
	}
	for _, r := range rs {
		if err := reason(r.Err, r.ErrMessage); err != nil {
			return err
		}
	}
	if undo {
		return nil
	}
	for began := time.Now(); ; {
		asking, cancel := context.WithTimeout(ctx, timeout)
		md, err := adm.Metadata(asking)
		cancel()
		if err != nil {
			return err
		}
		n := leads(md)[node]
		if n == 0 {
			return nil
		}
		if time.Since(began) >= wait {
			return fmt.Errorf("broker %d still leads %s after %v; it goes on giving them up (--wait gives it more time)", node, counted(int64(n), "partition"), wait)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// mayDrain says why a broker cannot be drained: there is none, or nobody could take its
// partitions, which it would then lead for ever.
func mayDrain(ctx context.Context, adm *kadm.Client, node int32, undo bool, patience time.Duration) error {
	ms, err := members(ctx, adm, patience)
	if err != nil {
		return err
	}
	nodes, takers := []int32{}, 0
	for _, m := range ms {
		nodes = append(nodes, m.Node)
		if m.Node != node && m.State == "active" {
			takers++
		}
	}
	slices.Sort(nodes)
	switch {
	case !slices.Contains(nodes, node):
		return fmt.Errorf("there is no broker %d: the cluster has %v", node, nodes)
	case undo || takers > 0:
		return nil
	case len(nodes) == 1:
		return fmt.Errorf("broker %d is the only one: nobody could take its partitions", node)
	}
	return fmt.Errorf("all other brokers are drained or silent: nobody could take the partitions of broker %d; firn cluster drain NODE --undo lets another one take them", node)
}
