package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

type seekLine struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"` // -1 for none
	To        int64  `json:"to"`
	Error     string `json:"error,omitempty"`
}

// groupSeek moves what a group has committed. The group must have no members:
// they would commit over it.
func groupSeek(g *globals) *cobra.Command {
	var to string
	var topics []string
	var partitions []int32
	var dry bool
	cmd := &cobra.Command{
		Use:               "seek GROUP --to start|end|OFFSET|-N|@TIME",
		Short:             "Move the committed offsets of a group",
		Long:              "Move the committed offsets of a group, of all topics that it has committed or of those\nthat --topics names. The group must be empty: stop its members first.",
		Example:           "  firn group seek billing --to @-1h --dry-run\n  firn group seek billing --to start --topics orders",
		Args:              exactArgs(1, "the name of one group"),
		ValidArgsFunction: completeGroups(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			if to == "" {
				return usage("--to is not set: want start, end, an offset, -N or @TIME")
			}
			at, err := parsePosition(to, time.Now())
			if err != nil || at.until != 0 {
				return usage("--to %q: want start, end, an offset, -N or @TIME", to)
			}
			var lines []seekLine
			failed := false
			err = g.admin(cmd.Context(), func(ctx context.Context, adm *kadm.Client) error {
				var err error
				lines, err = planSeek(ctx, adm, args[0], topics, partitions, at)
				if err != nil || dry {
					return err
				}
				failed, err = performSeek(ctx, adm, args[0], lines)
				return err
			})
			if err != nil {
				return err
			}
			err = g.print(cmd, lines, func(t *table) {
				t.row("TOPIC", "PARTITION", "FROM", "TO")
				for _, l := range lines {
					from := any(l.From)
					if l.From < 0 {
						from = "-"
					}
					if l.Error != "" {
						t.row(l.Topic, l.Partition, from, "failed: "+l.Error)
					} else {
						t.row(l.Topic, l.Partition, from, l.To)
					}
				}
			})
			if err == nil && failed {
				err = &exit{code: exitError}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&to, "to", "", "where to: start, end, OFFSET, -N or @TIME")
	f.StringSliceVar(&topics, "topics", nil, "only these topics; they need not have been committed before")
	f.Int32SliceVarP(&partitions, "partitions", "p", nil, "only these partitions")
	f.BoolVar(&dry, "dry-run", false, "show what would change")
	_ = cmd.RegisterFlagCompletionFunc("to", words("start", "end", "@-1h"))
	_ = cmd.RegisterFlagCompletionFunc("topics", completeTopics(g))
	_ = cmd.RegisterFlagCompletionFunc("partitions", func(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		return completePartitions(g)(cmd, topics, prefix)
	})
	return cmd
}

func planSeek(ctx context.Context, adm *kadm.Client, group string, topics []string, partitions []int32, at position) ([]seekLine, error) {
	described, err := adm.DescribeGroups(ctx, group)
	if err != nil {
		return nil, err
	}
	if d := described[group]; len(d.Members) > 0 {
		var clients []string
		for _, m := range d.Members {
			clients = append(clients, m.ClientID+m.ClientHost)
		}
		return nil, fmt.Errorf("group %s has %s (%s): stop them first, they would commit over it", group, counted(int64(len(d.Members)), "member"), strings.Join(clients, ", "))
	}
	committed, err := adm.FetchOffsets(ctx, group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, err
	}
	if len(topics) == 0 {
		for t := range committed {
			topics = append(topics, t)
		}
	}
	if len(topics) == 0 {
		return nil, errors.New("the group has committed nothing: name topics with --topics")
	}
	spans, err := resolve(ctx, adm, topics, partitions, at, false)
	lines := []seekLine{}
	for _, s := range spans {
		l := seekLine{Topic: s.topic, Partition: s.partition, From: -1, To: s.from}
		if c, ok := committed.Lookup(s.topic, s.partition); ok {
			l.From = c.At
		}
		lines = append(lines, l)
	}
	return lines, err
}

func performSeek(ctx context.Context, adm *kadm.Client, group string, lines []seekLine) (failed bool, err error) {
	offsets := kadm.Offsets{}
	for _, l := range lines {
		offsets.Add(kadm.Offset{Topic: l.Topic, Partition: l.Partition, At: l.To, LeaderEpoch: -1})
	}
	rs, err := adm.CommitOffsets(ctx, group, offsets)
	if err != nil {
		return false, err
	}
	for i := range lines {
		if r, ok := rs.Lookup(lines[i].Topic, lines[i].Partition); ok && r.Err != nil {
			lines[i].Error, failed = r.Err.Error(), true
		}
	}
	return failed, nil
}
