package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

type trimLine struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"`
	LogStart  int64  `json:"log_start"`
	Error     string `json:"error,omitempty"`
}

// topicTrim deletes the records before an offset or a time (DeleteRecords), after
// asking (H3).
func topicTrim(g *globals) *cobra.Command {
	var before string
	var partitions []int32
	var dry bool
	cmd := &cobra.Command{
		Use:               "trim TOPIC --before OFFSET|@TIME|end",
		Short:             "Delete the oldest records of a topic",
		Example:           "  firn topic trim orders --before @2026-01-01\n  firn topic trim orders --before 1000 -p 3 --dry-run",
		Args:              exactArgs(1, "the name of one topic"),
		ValidArgsFunction: completeTopics(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := parsePosition(before, time.Now())
			if err != nil || at.until != 0 {
				return usage("--before %q: want an offset, -N, @TIME or end", before)
			}
			if !dry {
				if err := g.confirm(cmd, fmt.Sprintf("Delete the records of %s before %s?", args[0], before)); err != nil {
					return err
				}
			}
			var lines []trimLine
			err = g.admin(cmd.Context(), func(ctx context.Context, adm *kadm.Client) error {
				lines, err = planTrim(ctx, adm, args[0], partitions, at)
				if err != nil || dry {
					return err
				}
				return trim(ctx, adm, lines)
			})
			if err != nil {
				return err
			}
			slices.SortFunc(lines, func(a, b trimLine) int { return int(a.Partition - b.Partition) })
			err = g.print(cmd, lines, func(t *table) {
				t.row("TOPIC", "PARTITION", "LOG-START", "NEW-LOG-START")
				for _, l := range lines {
					if l.Error != "" {
						t.row(l.Topic, l.Partition, l.From, "failed: "+l.Error)
					} else {
						t.row(l.Topic, l.Partition, l.From, l.LogStart)
					}
				}
			})
			if err == nil && slices.ContainsFunc(lines, func(l trimLine) bool { return l.Error != "" }) {
				err = &exit{code: exitError}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVarP(&before, "before", "o", "", "delete what comes before: OFFSET, -N (keep the last N), @TIME or end")
	f.Int32SliceVarP(&partitions, "partitions", "p", nil, "only these partitions")
	_ = cmd.RegisterFlagCompletionFunc("partitions", completePartitions(g))
	f.BoolVar(&dry, "dry-run", false, "show what would become of the log starts")
	return cmd
}

// planTrim is what would become of each partition's log start.
func planTrim(ctx context.Context, adm *kadm.Client, topic string, partitions []int32, at position) ([]trimLine, error) {
	spans, err := resolve(ctx, adm, []string{topic}, partitions, at, false)
	if err != nil {
		return nil, err
	}
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	lines := []trimLine{}
	for _, s := range spans {
		first, _ := starts.Lookup(s.topic, s.partition)
		l := trimLine{Topic: s.topic, Partition: s.partition, From: first.Offset, LogStart: s.from}
		if at.kind == atOffset && at.n > s.to { // a slip, or meant for a longer partition: nobody asked for all of this one
			l.LogStart = l.From
			l.Error = fmt.Sprintf("offset %d lies beyond its end, %d; --before end deletes all", at.n, s.to)
		}
		lines = append(lines, l)
	}
	return lines, nil
}

// trim deletes the records before the planned log starts, and notes what came of it.
func trim(ctx context.Context, adm *kadm.Client, lines []trimLine) error {
	offsets := kadm.Offsets{}
	for _, l := range lines {
		if l.LogStart > l.From {
			offsets.Add(kadm.Offset{Topic: l.Topic, Partition: l.Partition, At: l.LogStart})
		}
	}
	if len(offsets) == 0 {
		return nil
	}
	rs, err := adm.DeleteRecords(ctx, offsets)
	for i := range lines {
		l := &lines[i]
		r, ok := rs.Lookup(l.Topic, l.Partition)
		switch {
		case !ok:
		case r.Err != nil:
			l.LogStart, l.Error = l.From, r.Err.Error()
		default:
			l.LogStart = r.LowWatermark
		}
	}
	return err
}
