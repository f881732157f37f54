package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// topicCreate creates topics, each on its own: one that fails stops no other.
func topicCreate(g *globals) *cobra.Command {
	var partitions int32
	var replicas int16
	var configs []string
	var dry, exists bool
	cmd := &cobra.Command{
		Use:               "create TOPIC...",
		Short:             "Create topics",
		Example:           "  firn topic create orders -p 16 -c retention.ms=-1",
		Args:              someArgs("the name of at least one topic"),
		ValidArgsFunction: cobra.NoFileCompletions,
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
					if !exists || !errors.Is(r.Err, kerr.TopicAlreadyExists) {
						errs[r.Topic] = reason(r.Err, r.ErrMessage)
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
	f.StringArrayVarP(&configs, "topic-config", "c", nil, "`NAME=VALUE`: a topic config")
	f.BoolVar(&dry, "dry-run", false, "check only")
	f.BoolVar(&exists, "if-not-exists", false, "a topic that exists already is no error")
	_ = cmd.RegisterFlagCompletionFunc("topic-config", completeTopicConfigs)
	return cmd
}

func parseConfigs(kvs []string) (map[string]*string, error) {
	out := map[string]*string{}
	for _, kv := range kvs {
		k, v, ok := strings.Cut(kv, "=")
		if !ok || k == "" {
			return nil, usage("topic config %q: want NAME=VALUE", kv)
		}
		out[k] = &v
	}
	return out, nil
}
