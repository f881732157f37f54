package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/firnlog/firn/broker/settings"
	"github.com/firnlog/firn/catalog"
)

// words completes one of a few words.
func words(ws ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(ws, cobra.ShellCompDirectiveNoFileComp)
}

// complete completes names that the cluster knows. It says nothing when the cluster
// does not: a shell is no place for errors.
func (g *globals) complete(list func(ctx context.Context, adm *kadm.Client, given []string) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, given []string, prefix string) ([]string, cobra.ShellCompDirective) {
		var names []string
		if g.resolve(cmd) == nil {
			g.timeout = min(g.timeout, 2*time.Second)
			_ = g.admin(cmd.Context(), func(ctx context.Context, adm *kadm.Client) error {
				names = list(ctx, adm, given)
				return nil
			})
		}
		left := names[:0]
		for _, n := range names {
			if strings.HasPrefix(n, prefix) && !slices.Contains(given, n) {
				left = append(left, n)
			}
		}
		return left, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeTopics completes names of topics.
func completeTopics(g *globals) cobra.CompletionFunc {
	return g.complete(func(ctx context.Context, adm *kadm.Client, _ []string) []string {
		ts, _ := adm.ListTopics(ctx)
		return ts.Names()
	})
}

// completeGroups completes names of groups.
func completeGroups(g *globals) cobra.CompletionFunc {
	return g.complete(func(ctx context.Context, adm *kadm.Client, _ []string) []string {
		gs, _ := adm.ListGroups(ctx)
		return gs.Groups()
	})
}

// completePartitions completes partitions of the topics that are given, after those
// that are there already: 0,3,<here>.
func completePartitions(g *globals) cobra.CompletionFunc {
	return func(cmd *cobra.Command, topics []string, prefix string) ([]string, cobra.ShellCompDirective) {
		there := prefix[:strings.LastIndexByte(prefix, ',')+1]
		of := g.complete(func(ctx context.Context, adm *kadm.Client, topics []string) []string {
			most := 0
			ts, _ := adm.ListTopics(ctx, topics...)
			for _, t := range ts {
				most = max(most, len(t.Partitions))
			}
			var out []string
			for p := range most {
				if n := fmt.Sprint(p); !slices.Contains(strings.Split(there, ","), n) {
					out = append(out, there+n)
				}
			}
			return out
		})
		if len(topics) == 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		out, _ := of(cmd, topics, prefix)
		return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveKeepOrder
	}
}

// completeSettings completes NAME=VALUE of -X.
func completeSettings(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if cmd.Annotations[isBroker] == "" {
		out := make([]string, 0, len(clientOptions))
		for _, n := range clientOptions {
			out = append(out, n+"=")
		}
		return out, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
	}
	specs := make([]catalog.ConfigSpec, 0, len(settings.All()))
	for _, s := range settings.All() {
		specs = append(specs, s.ConfigSpec)
	}
	return completeConfigs(specs, prefix)
}

// completeTopicConfigs completes NAME=VALUE of a topic's configs.
func completeTopicConfigs(_ *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return completeConfigs(slices.DeleteFunc(slices.Clone(catalog.TopicConfigs()), func(c catalog.ConfigSpec) bool { return c.ReadOnly }), prefix)
}

// completeConfigs completes the name of a config, and behind it the values that are
// legal, or the default where many are.
func completeConfigs(specs []catalog.ConfigSpec, prefix string) ([]string, cobra.ShellCompDirective) {
	name, _, named := strings.Cut(prefix, "=")
	var out []string
	for _, s := range specs {
		if !named {
			out = append(out, s.Name+"=\t"+s.Doc)
			continue
		}
		if s.Name != name {
			continue
		}
		values := s.Values
		switch {
		case s.Type == catalog.TypeBool:
			values = []string{"true", "false"}
		case len(values) == 0 && s.Default != "":
			values = []string{s.Default}
		}
		for _, v := range values {
			if v == s.Default {
				v += "\tthe default"
			}
			out = append(out, s.Name+"="+v)
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
	return out, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
}
