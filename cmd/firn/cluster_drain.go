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
			"drained over restarts.",
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
			err = g.admin(cmd.Context(), func(ctx context.Context, adm *kadm.Client) error {
				ctx, cancel := context.WithTimeout(ctx, wait)
				defer cancel()
				return drain(ctx, adm, node, undo)
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

func drain(ctx context.Context, adm *kadm.Client, node int32, undo bool) error {
	md, err := adm.BrokerMetadata(ctx)
	if err != nil {
		return err
	}
	nodes := md.Brokers.NodeIDs()
	switch {
	case !slices.Contains(nodes, node):
		return fmt.Errorf("there is no broker %d: the cluster has %v", node, nodes)
	case !undo && len(nodes) == 1:
		return fmt.Errorf("broker %d is the only one: nobody could take its partitions", node)
	}
	change := kadm.AlterConfig{Op: kadm.SetConfig, Name: drainConfig, Value: kadm.StringPtr("true")}
	if undo {
		change = kadm.AlterConfig{Op: kadm.DeleteConfig, Name: drainConfig}
	}
	rs, err := adm.AlterBrokerConfigs(ctx, []kadm.AlterConfig{change}, node)
	if err != nil {
		return err
	}
	for _, r := range rs {
		if err := reason(r.Err, r.ErrMessage); err != nil {
			return err
		}
	}
	for !undo {
		ms, err := members(ctx, adm)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(ms, func(m member) bool { return m.Node == node })
		if i < 0 || ms[i].Leads == 0 {
			break
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("broker %d still leads %d partitions: %w; it goes on giving them up", node, ms[i].Leads, ctx.Err())
		}
	}
	return nil
}
