package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/firnlog/firn/broker/settings"
)

// profileCreate makes a profile and uses it from then on.
func profileCreate(g *globals) *cobra.Command {
	var replace bool
	cmd := &cobra.Command{
		Use:   "create NAME NAME=VALUE...",
		Short: "Make a profile, and use it from now on",
		Long: `Make a profile, and use it from now on. It can hold

  brokers     HOST:PORT,… of brokers (--brokers)
  store       the bucket's URL, for commands that read it (--store)
  http        HOST:PORT,… of the brokers' HTTP listeners (--http)
  client.id, format, timeout

Credentials are in no profile: they come from the AWS chain.`,
		Example: `  firn profile create production brokers=broker-1:9092,broker-2:9092 store='s3://bucket/prefix?region=eu-central-1'
  firn profile create laptop brokers=localhost:9092`,
		Args: someArgs("a name, and what the profile holds"),
		ValidArgsFunction: func(_ *cobra.Command, given []string, prefix string) ([]string, cobra.ShellCompDirective) {
			if len(given) == 0 || strings.Contains(prefix, "=") {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var out []string
			for _, n := range profileNames {
				out = append(out, n+"=")
			}
			return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			name, p := args[0], profile{}
			if name == noProfile || strings.ContainsAny(name, "= \t\n") {
				return usage("%q cannot be the name of a profile", name)
			}
			for _, kv := range args[1:] {
				k, v, ok := strings.Cut(kv, "=")
				if !ok {
					return usage("want NAME=VALUE after the profile's name, with one of the names %s", strings.Join(profileNames, ", "))
				}
				if !slices.Contains(profileNames, k) {
					hint := "want one of " + strings.Join(profileNames, ", ")
					if near, ok := settings.Nearest(k, slices.Values(profileNames)); ok {
						hint = fmt.Sprintf("did you mean %q?", near)
					}
					return usage("a profile holds no %q; %s", k, hint)
				}
				if err := p.check(k, v); err != nil {
					return usage("%w", err)
				}
				p[k] = v
			}
			if len(p) == 0 {
				return usage("what is in it? Want NAME=VALUE, such as brokers=broker-1:9092,broker-2:9092")
			}
			f, err := readProfiles()
			if err != nil {
				return err
			}
			if _, there := f.Profiles[name]; there && !replace {
				return fmt.Errorf("there is a profile %s already; --replace takes its place", name)
			}
			f.Profiles[name], f.Current = p, name
			if err := f.write(); err != nil {
				return err
			}
			return g.outcomes(cmd, "in use", args[:1], nil)
		},
	}
	cmd.Flags().BoolVar(&replace, "replace", false, "replace a profile of that name")
	return cmd
}
