package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

func newTopic(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "topic",
		Short: "List, create, describe and delete topics",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(topicList(g), topicCreate(g), topicDescribe(g), topicDelete(g))
	return cmd
}

// completeTopics completes topic names from the cluster.
func completeTopics(g *globals) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return func(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		var names []string
		_ = g.admin(context.Background(), func(ctx context.Context, adm *kadm.Client) error {
			ts, err := adm.ListTopics(ctx)
			for _, n := range ts.Names() {
				if strings.HasPrefix(n, prefix) {
					names = append(names, n)
				}
			}
			return err
		})
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

type topicLine struct {
	Name       string `json:"name" yaml:"name"`
	ID         string `json:"id" yaml:"id"`
	Partitions int    `json:"partitions" yaml:"partitions"`
	Replicas   int    `json:"replicas" yaml:"replicas"`
	Internal   bool   `json:"internal" yaml:"internal"`
}

func topicList(g *globals) *cobra.Command {
	var internal bool
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List topics",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			lines := []topicLine{}
			err := g.admin(cmd.Context(), func(ctx context.Context, adm *kadm.Client) error {
				list := adm.ListTopics
				if internal {
					list = adm.ListTopicsWithInternal
				}
				ts, err := list(ctx)
				for _, t := range ts.Sorted() {
					lines = append(lines, topicLine{t.Topic, t.ID.String(), len(t.Partitions), t.Partitions.NumReplicas(), t.IsInternal})
				}
				return err
			})
			if err != nil {
				return err
			}
			return g.print(cmd, lines, func(t *table) {
				t.row("NAME", "PARTITIONS", "REPLICAS")
				for _, l := range lines {
					t.row(l.Name, l.Partitions, l.Replicas)
				}
			})
		},
	}
	cmd.Flags().BoolVar(&internal, "internal", false, "list internal topics as well")
	return cmd
}

// outcome is what became of one item of a command.
type outcome struct {
	Name   string `json:"name" yaml:"name"`
	Status string `json:"status" yaml:"status"`
	Error  string `json:"error,omitempty" yaml:"error,omitempty"`
}

// outcomes prints a list of them, and fails if one failed.
func (g *globals) outcomes(cmd *cobra.Command, done string, names []string, errs map[string]error) error {
	out := []outcome{}
	failed := 0
	for _, n := range names {
		o := outcome{Name: n, Status: done}
		if err := errs[n]; err != nil {
			o.Status, o.Error = "failed", err.Error()
			failed++
		}
		out = append(out, o)
	}
	err := g.print(cmd, out, func(t *table) {
		t.row("NAME", "STATUS")
		for _, o := range out {
			if o.Error != "" {
				t.row(o.Name, o.Status+": "+o.Error)
			} else {
				t.row(o.Name, o.Status)
			}
		}
	})
	if err == nil && failed > 0 {
		err = &exit{code: exitError}
	}
	return err
}

func parseConfigs(kvs []string) (map[string]*string, error) {
	out := map[string]*string{}
	for _, kv := range kvs {
		k, v, ok := strings.Cut(kv, "=")
		if !ok {
			return nil, usage("--topic-config %q: want name=value", kv)
		}
		out[k] = &v
	}
	return out, nil
}

func topicCreate(g *globals) *cobra.Command {
	var partitions int32
	var replicas int16
	var configs []string
	var dry, exists bool
	cmd := &cobra.Command{
		Use:     "create TOPIC...",
		Short:   "Create topics",
		Example: "  firn topic create orders -p 16 -c retention.ms=-1",
		Args:    someArgs("the name of at least one topic"),
		RunE: func(cmd *cobra.Command, args []string) error {
			set, err := parseConfigs(configs)
			if err != nil {
				return err
			}
			errs := map[string]error{}
			err = g.admin(cmd.Context(), func(ctx context.Context, adm *kadm.Client) error {
				create := adm.CreateTopics
				if dry {
					create = adm.ValidateCreateTopics
				}
				rs, err := create(ctx, partitions, replicas, set, args...)
				for _, r := range rs {
					if r.Err == nil {
						continue
					}
					if exists && strings.Contains(r.Err.Error(), "TOPIC_ALREADY_EXISTS") {
						continue
					}
					errs[r.Topic] = r.Err
					if r.ErrMessage != "" {
						errs[r.Topic] = fmt.Errorf("%w: %s", r.Err, r.ErrMessage)
					}
				}
				return err
			})
			if err != nil {
				return err
			}
			done := "created"
			if dry {
				done = "would be created"
			}
			return g.outcomes(cmd, done, args, errs)
		},
	}
	f := cmd.Flags()
	f.Int32VarP(&partitions, "partitions", "p", -1, "number of partitions; -1 for the broker's default")
	f.Int16VarP(&replicas, "replicas", "r", -1, "replication factor to show; the bucket replicates")
	f.StringArrayVarP(&configs, "topic-config", "c", nil, "a topic config: -c cleanup.policy=compact")
	f.BoolVar(&dry, "dry-run", false, "check only")
	f.BoolVar(&exists, "if-not-exists", false, "a topic that exists already is no error")
	return cmd
}

func topicDelete(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "delete TOPIC...",
		Aliases:           []string{"rm"},
		Short:             "Delete topics and all their records",
		Args:              someArgs("the name of at least one topic"),
		ValidArgsFunction: completeTopics(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			if ok, err := g.confirm(cmd, fmt.Sprintf("Delete %s and all records in it?", strings.Join(args, ", "))); !ok {
				return err
			}
			errs := map[string]error{}
			err := g.admin(cmd.Context(), func(ctx context.Context, adm *kadm.Client) error {
				rs, err := adm.DeleteTopics(ctx, args...)
				for _, r := range rs {
					if r.Err != nil {
						errs[r.Topic] = r.Err
					}
				}
				return err
			})
			if err != nil {
				return err
			}
			return g.outcomes(cmd, "deleted", args, errs)
		},
	}
	return cmd
}

// confirm asks before something is destroyed. Without a terminal it wants --yes.
func (g *globals) confirm(cmd *cobra.Command, question string) (bool, error) {
	if g.yes {
		return true, nil
	}
	if !isTerminal(cmd.ErrOrStderr()) {
		return false, usage("%s This needs --yes when there is nobody to ask", question)
	}
	fmt.Fprint(cmd.ErrOrStderr(), question+" [y/N] ")
	line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && err != io.EOF {
		return false, err
	}
	if a := strings.ToLower(strings.TrimSpace(line)); a != "y" && a != "yes" {
		return false, &exit{exitError, fmt.Errorf("nothing was changed")}
	}
	return true, nil
}

type topicDescription struct {
	topicLine `yaml:",inline"`
	Parts     []partitionLine   `json:"partition_list" yaml:"partition_list"`
	Configs   map[string]string `json:"configs" yaml:"configs"`
}

type partitionLine struct {
	Partition int32   `json:"partition" yaml:"partition"`
	Leader    int32   `json:"leader" yaml:"leader"`
	Epoch     int32   `json:"epoch" yaml:"epoch"`
	Replicas  []int32 `json:"replicas" yaml:"replicas"`
	LogStart  int64   `json:"log_start" yaml:"log_start"`
	End       int64   `json:"end" yaml:"end"`
}

func topicDescribe(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:               "describe TOPIC...",
		Short:             "Show partitions, offsets and configs of topics",
		Args:              someArgs("the name of at least one topic"),
		ValidArgsFunction: completeTopics(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			out := []topicDescription{}
			var missing []string
			err := g.admin(cmd.Context(), func(ctx context.Context, adm *kadm.Client) error {
				ts, err := adm.ListTopics(ctx, args...)
				if err != nil {
					return err
				}
				starts, err := adm.ListStartOffsets(ctx, args...)
				if err != nil {
					return err
				}
				ends, err := adm.ListEndOffsets(ctx, args...)
				if err != nil {
					return err
				}
				configs, err := adm.DescribeTopicConfigs(ctx, args...)
				if err != nil {
					return err
				}
				for _, name := range args {
					t, ok := ts[name]
					if !ok || t.Err != nil {
						missing = append(missing, name)
						continue
					}
					d := topicDescription{topicLine: topicLine{t.Topic, t.ID.String(), len(t.Partitions), t.Partitions.NumReplicas(), t.IsInternal}, Configs: map[string]string{}}
					for _, p := range t.Partitions.Sorted() {
						s, _ := starts.Lookup(name, p.Partition)
						e, _ := ends.Lookup(name, p.Partition)
						d.Parts = append(d.Parts, partitionLine{p.Partition, p.Leader, p.LeaderEpoch, p.Replicas, s.Offset, e.Offset})
					}
					if rc, err := configs.On(name, nil); err == nil {
						for _, c := range rc.Configs {
							if c.Value != nil {
								d.Configs[c.Key] = *c.Value
							}
						}
					}
					out = append(out, d)
				}
				return nil
			})
			if err != nil {
				return err
			}
			err = g.print(cmd, out, func(t *table) {
				for i, d := range out {
					if i > 0 {
						t.row()
					}
					t.row("TOPIC", d.Name)
					t.row("ID", d.ID)
					t.row("PARTITIONS", d.Partitions)
					t.row()
					t.row("PARTITION", "LEADER", "EPOCH", "LOG-START", "END")
					for _, p := range d.Parts {
						t.row(p.Partition, p.Leader, p.Epoch, p.LogStart, p.End)
					}
					if t.Wide {
						t.row()
						t.row("CONFIG", "VALUE")
						names := make([]string, 0, len(d.Configs))
						for k := range d.Configs {
							names = append(names, k)
						}
						slices.Sort(names)
						for _, k := range names {
							t.row(k, d.Configs[k])
						}
					}
				}
			})
			if err == nil && len(missing) > 0 {
				err = fmt.Errorf("no such topic: %s", strings.Join(missing, ", "))
			}
			return err
		},
	}
}
