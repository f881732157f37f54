package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// topicAlter sets and resets configs of topics, each topic on its own.
func topicAlter(g *globals) *cobra.Command {
	var set, reset []string
	var dry bool
	cmd := &cobra.Command{
		Use:               "alter TOPIC...",
		Short:             "Change configs of topics",
		Example:           "  firn topic alter orders -c retention.ms=-1 --reset cleanup.policy",
		Args:              someArgs("the name of at least one topic"),
		ValidArgsFunction: completeTopics(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			values, err := parseConfigs(set)
			if err != nil {
				return err
			}
			var changes []kadm.AlterConfig
			for name, v := range values {
				changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: v})
			}
			for _, name := range reset {
				if _, both := values[name]; both {
					return usage("%s cannot be both set and reset", name)
				}
				changes = append(changes, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: name})
			}
			if len(changes) == 0 {
				return usage("nothing to change: want -c NAME=VALUE or --reset NAME")
			}
			errs := map[string]error{}
			err = g.admin(cmd.Context(), func(ctx context.Context, adm *kadm.Client) error {
				alter := adm.AlterTopicConfigs
				if dry {
					alter = adm.ValidateAlterTopicConfigs
				}
				rs, err := alter(ctx, changes, args...)
				for _, r := range rs {
					errs[r.Name] = reason(r.Err, r.ErrMessage)
				}
				return err
			})
			if err != nil {
				return err
			}
			done := "altered"
			if dry {
				done = "would be altered"
			}
			return g.outcomes(cmd, done, args, errs)
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&set, "topic-config", "c", nil, "`NAME=VALUE`: set a topic config")
	f.StringArrayVar(&reset, "reset", nil, "`NAME`: give a config its default back")
	f.BoolVar(&dry, "dry-run", false, "check only")
	_ = cmd.RegisterFlagCompletionFunc("topic-config", completeTopicConfigs)
	return cmd
}
