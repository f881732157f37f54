package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"golang.org/x/sync/errgroup"

	"github.com/firnlog/firn/broker"
)

// member is a broker and its share of the work.
type member struct {
	Node    int32  `json:"node"`
	Address string `json:"address"`
	Rack    string `json:"rack"`
	Leads   int    `json:"leads"`                 // partitions
	Load    int64  `json:"load_bytes_per_second"` // of what clients write and read there
	State   string `json:"state"`                 // active, draining, drained, silent
}

// clusterMembers shows what each broker leads, and which of them drain.
func clusterMembers(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "members",
		Short: "Show what each broker leads, and which of them drain",
		Long: `Show what each broker leads, and which of them drain:

  LEADS  how many partitions it leads, internal ones too
  LOAD   what clients write and read there, over the last ten seconds. Partitions are
         spread by their number, not by this: one broker far above the others leads the
         busy ones
  STATE  active; draining: it gives its partitions up; drained: it leads none and takes
         none until firn cluster drain NODE --undo; silent: it does not answer`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var ms []member
			err := g.admin(cmd.Context(), func(ctx context.Context, adm *kadm.Client) (err error) {
				ms, err = members(ctx, adm, g.timeout/2)
				return err
			})
			if err != nil {
				return err
			}
			return g.print(cmd, ms, func(t *table) {
				t.row("NODE", "ADDRESS", "RACK", "LEADS", "LOAD", "STATE")
				for _, m := range ms {
					t.row(m.Node, m.Address, orDash(m.Rack), m.Leads, strings.ReplaceAll(size(m.Load), " ", "")+"/s", m.State)
				}
			})
		},
	}
}

// members asks every broker that the metadata names, all at once and each for as long as
// patience: a broker that is stopped takes connections and answers nothing, and must not
// use up the time of the others.
func members(ctx context.Context, adm *kadm.Client, patience time.Duration) ([]member, error) {
	md, err := adm.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	led := leads(md)
	ms := make([]member, len(md.Brokers))
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var each errgroup.Group
	each.SetLimit(64)
	for i, b := range md.Brokers {
		m := &ms[i]
		*m = member{Node: b.NodeID, Address: fmt.Sprintf("%s:%d", b.Host, b.Port), Leads: led[b.NodeID], State: "active"}
		if b.Rack != nil {
			m.Rack = *b.Rack
		}
		each.Go(func() error {
			drains, load, err := condition(ctx, adm, m.Node)
			m.Load = load
			switch {
			case err != nil:
				m.State = "silent" // in the metadata, and does not answer
			case drains && m.Leads > 0:
				m.State = "draining"
			case drains:
				m.State = "drained"
			}
			return nil
		})
	}
	_ = each.Wait()
	return ms, nil
}

// leads is how many partitions each broker leads, by node id.
func leads(md kadm.Metadata) map[int32]int {
	out := map[int32]int{}
	for _, t := range md.Topics {
		for _, p := range t.Partitions {
			out[p.Leader]++
		}
	}
	return out
}

// drainConfig is the broker's setting.
const drainConfig = "broker.drain"

// condition is whether a broker drains, and its load. It ends with ctx: the client itself
// waits longer for a broker that takes its connection and answers nothing.
func condition(ctx context.Context, adm *kadm.Client, node int32) (drains bool, load int64, err error) {
	type answer struct {
		configs kadm.ResourceConfigs
		err     error
	}
	came := make(chan answer, 1)
	go func() {
		rs, err := adm.DescribeBrokerConfigs(ctx, node)
		came <- answer{rs, err}
	}()
	var a answer
	select {
	case a = <-came:
	case <-ctx.Done():
		a.err = ctx.Err()
	}
	if a.err != nil {
		return false, 0, a.err
	}
	for _, r := range a.configs {
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
