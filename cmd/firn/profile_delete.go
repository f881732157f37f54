package main

import "github.com/spf13/cobra"

// profileDelete forgets profiles. Nothing of a cluster is in them but where it is, so
// that nobody is asked.
func profileDelete(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:               "delete NAME...",
		Aliases:           []string{"rm"},
		Short:             "Forget profiles; the clusters stay as they are",
		Args:              someArgs("the name of at least one profile"),
		ValidArgsFunction: completeProfiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := readProfiles()
			if err != nil {
				return err
			}
			errs := map[string]error{}
			for _, n := range args {
				if n == noProfile {
					errs[n] = usage("it is always there")
					continue
				}
				if _, err := f.get(n); err != nil {
					errs[n] = err
					continue
				}
				delete(f.Profiles, n)
				if f.Current == n {
					f.Current = noProfile
				}
			}
			if err := f.write(); err != nil {
				return err
			}
			return g.outcomes(cmd, "deleted", args, errs)
		},
	}
}
